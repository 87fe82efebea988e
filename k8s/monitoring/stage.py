"""The running services with Prometheus and Alertmanager around them, for live.py, pictures.py and collectors.py.

Three services and a second bidder on one embedded store, the project's Prometheus and Alertmanager configuration. Only
discovery is replaced, by files with the same labels, and every duration is divided by FASTER.
"""
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
FASTER = 60
# A condition is waited for, never a time: a slow machine takes longer and passes.
PATIENCE_S = 120
KEY = "administrator-of-the-stage"
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
PODS = {"campaign-1": "campaign-service", "analytics-1": "analytics-service",
        "bidding-1": "bidding-service", "bidding-2": "bidding-service"}


def faster(duration):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", duration).groups()
    return f"{max(1, int(number) * UNITS_MS[unit] // FASTER)}ms"


def windows_faster(expr):
    return re.sub(r"\[(\w+)\]", lambda window: f"[{faster(window[1])}]", expr)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait(what, ready):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := ready():
            print(f"ok: {what}", flush=True)
            return found
        time.sleep(0.2)
    sys.exit(f"FAILED: {what}")


def ask(url, body=None):
    """The answer's body; None when there is none of success."""
    request = urllib.request.Request(url, data=body and json.dumps(body).encode(), headers={
        "authorization": f"Bearer {KEY}", "content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.read()
    except (OSError, urllib.error.HTTPError):
        return None


class Server(http.server.ThreadingHTTPServer):
    """On a port of its own, until the process ends."""

    def __init__(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = answer(self.path, self.rfile.read(int(self.headers["content-length"] or 0)))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        # Who has hung up wants no answer.
        self.handle_error = lambda *_: None
        self.address = f"127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Stage:
    def __init__(self, programs, work, **settings):
        self.programs, self.work, self.settings = os.path.abspath(programs), work, settings
        self.children, self.told, self.notifications = {}, [], []
        self.restarts, self.waits = 0, False
        self.ports = {pod: (free_port(), free_port()) for pod in PODS}
        self.prometheus, self.alertmanager = (f"127.0.0.1:{free_port()}" for _ in range(2))
        # Alertmanager's webhooks: who was told of what.
        self.people = Server(self.hear)
        # kube-state-metrics and cert-manager.
        self.cluster = Server(lambda *_: self.cluster_metrics().encode())

    def cluster_metrics(self):
        """As they tell it: whether a container waits, only while it does."""
        pod = 'namespace="ad-platform",pod="bidding-9",container="bidding-service"'
        scaler = 'namespace="ad-platform",horizontalpodautoscaler="bidding-service-hpa"'
        lines = {
            f"kube_pod_container_status_restarts_total{{{pod}}}": self.restarts,
            'kube_job_status_failed{namespace="ad-platform",job_name="migrations"}': 0,
            f"kube_horizontalpodautoscaler_status_current_replicas{{{scaler}}}": 2,
            f"kube_horizontalpodautoscaler_spec_max_replicas{{{scaler}}}": 10,
            'certmanager_certificate_expiration_timestamp_seconds{namespace="ad-platform",name="public"}': time.time() + 60 * 86_400,
        }
        if self.waits:
            lines[f'kube_pod_container_status_waiting_reason{{{pod},reason="CrashLoopBackOff"}}'] = 1
        return "".join(f"{series} {value}\n" for series, value in lines.items())

    def hear(self, path, body):
        self.notifications.append([alert["labels"] for alert in json.loads(body)["alerts"]])
        self.told += [(path, alert["labels"]["alertname"], alert["labels"].get("service"), alert["status"])
                      for alert in json.loads(body)["alerts"]]
        return b""

    def url(self, pod):
        return f"http://127.0.0.1:{self.ports[pod][0]}"

    def output(self, name):
        """Where the child's stdout and stderr go."""
        return open(f"{self.work}/{name}.log", "ab")

    def start(self, command, name, **settings):
        with self.output(name) as log:
            self.children[name] = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | settings)

    def service(self, pod):
        http_port, metrics_port = self.ports[pod]
        self.start([f"{self.programs}/{PODS[pod]}"], pod, DATA_DIR=f"{self.work}/data", LOG_FORMAT="json", ADMIN_API_KEY=KEY,
                   HTTP_ADDR=f"127.0.0.1:{http_port}", METRICS_ADDR=f"127.0.0.1:{metrics_port}", SPOOL_DIR=f"{self.work}/{pod}",
                   PUBLIC_BIDDING_URL=self.url(pod), ANALYTICS_URL=self.url("analytics-1"), **self.settings)
        wait(f"{pod} is ready", lambda: ask(f"{self.url(pod)}/ready") is not None)

    def kill(self, name):
        self.children[name].kill()
        self.children.pop(name).wait()

    def start_services(self):
        for pod in PODS:
            self.service(pod)

    def write(self, name, content):
        with open(f"{self.work}/{name}", "w") as out:
            json.dump(content, out)

    def discovered(self, pod):
        meta = {"namespace": "ad-platform", "pod_name": pod, "pod_label_app": PODS[pod], "pod_phase": "Running",
                "pod_container_port_name": "metrics"}
        return {"targets": [f"127.0.0.1:{self.ports[pod][1]}"],
                "labels": {f"__meta_kubernetes_{key}": value for key, value in meta.items()}}

    def start_prometheus(self):
        config = yaml.safe_load(open(f"{HERE}/prometheus.yaml"))
        config["global"] = {key: faster(value) for key, value in config["global"].items()}
        config["global"]["scrape_timeout"] = config["global"]["scrape_interval"]
        config["rule_files"] = [f"{self.work}/rules-*.json"]
        config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [self.alertmanager]
        services, cluster, _ = config["scrape_configs"]
        del services["kubernetes_sd_configs"]
        services["file_sd_configs"] = [{"files": [f"{self.work}/targets.json"]}]
        cluster["static_configs"][0]["targets"] = [self.cluster.address]
        config["scrape_configs"] = [services, cluster]
        self.write("targets.json", [self.discovered(pod) for pod in PODS])
        for file in os.listdir(f"{HERE}/rules"):
            rules = yaml.safe_load(open(f"{HERE}/rules/{file}"))
            for rule in (rule for group in rules["groups"] for rule in group["rules"]):
                rule["expr"] = windows_faster(rule["expr"])
                if "for" in rule:
                    rule["for"] = faster(rule["for"])
            self.write(f"rules-{file}.json", rules)
        self.run_prometheus(config)

    def run_prometheus(self, config):
        self.write("prometheus.json", config)
        self.start(["prometheus", f"--config.file={self.work}/prometheus.json", f"--storage.tsdb.path={self.work}/tsdb",
                    f"--web.listen-address={self.prometheus}"], "prometheus")

    def start_alertmanager(self):
        text = open(f"{HERE}/alertmanager.yaml").read()
        text = re.sub(r"(_(?:wait|interval): )(\w+)", lambda found: found[1] + faster(found[2]), text)
        # Debian's Alertmanager is older than url_file.
        text = re.sub(r"url_file: \S+/(\w+)-url", rf"url: http://{self.people.address}/\1", text)
        with open(f"{self.work}/alertmanager.yaml", "w") as out:
            out.write(text)
        self.start(["prometheus-alertmanager", f"--config.file={self.work}/alertmanager.yaml", "--cluster.listen-address=",
                    f"--storage.path={self.work}/alerts", f"--web.listen-address={self.alertmanager}"], "alertmanager")

    def query(self, expr, **more):
        path = "query_range" if more else "query"
        answer = ask(f"http://{self.prometheus}/api/v1/{path}?" + urllib.parse.urlencode({"query": expr} | more))
        return json.loads(answer)["data"]["result"] if answer else None

    def alerts(self, more=""):
        """What Alertmanager knows; with "/groups" as it tells it."""
        return json.loads(ask(f"http://{self.alertmanager}/api/v2/alerts{more}") or b"[]")

    def alert(self, *of_labels):
        """As Prometheus would send them."""
        wait("Alertmanager takes alerts", lambda: ask(f"http://{self.alertmanager}/api/v2/alerts", [{"labels": one} for one in of_labels]) is not None)

    def logs(self):
        for name in sorted(os.listdir(self.work)):
            if name.endswith(".log"):
                yield name, open(f"{self.work}/{name}", errors="replace").read()

    def stop(self):
        for child in self.children.values():
            child.send_signal(signal.SIGKILL)
            child.wait()


def panels():
    """Every panel, with its board and its queries as the stage's clock runs."""
    for file in sorted(os.listdir(f"{HERE}/dashboards")):
        board = json.load(open(f"{HERE}/dashboards/{file}"))
        for panel in board["panels"]:
            exprs = [windows_faster(target["expr"]).replace("$namespace", ".*") for target in panel["targets"]]
            yield board, panel, exprs
