#!/usr/bin/env python3
"""Rules and dashboards on a real Prometheus and Alertmanager, over the running services.

live.py FOLDER: the folder has the programs campaign-service, bidding-service, analytics-service and adplatform.

Starts the services (two bidders, embedded storage), traffic, Prometheus and Alertmanager. Asks that every recording rule
yields data, that the autoscalers' metrics are one series a pod, and that every panel's query is answered; then kills
analytics-service and sees its alert go pending, fire, reach the pager and resolve. Only discovery is replaced, by files with the
same labels, and every duration is divided by sixty.
"""
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
FASTER = 60
PATIENCE_S = 90
# There is no campaign, and a slow machine may be late.
EXPECTED = {"NoBids", "HighBidLatency", "BidErrorBudgetBurn"}
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def faster(duration):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", duration).groups()
    return f"{max(1, int(number) * UNITS_MS[unit] // FASTER)}ms"


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


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read()
    except (OSError, urllib.error.HTTPError):
        return None


class Live:
    def __init__(self, programs, work):
        self.programs, self.work = programs, work
        self.children, self.told, self.targets = [], [], []
        self.prometheus = f"127.0.0.1:{free_port()}"
        self.alertmanager = f"127.0.0.1:{free_port()}"

    def start(self, command, name, **settings):
        log = open(f"{self.work}/{name}.log", "ab")
        child = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | settings)
        self.children.append(child)
        return child

    def service(self, name, pod, http_port, metrics_port):
        settings = {"DATA_DIR": f"{self.work}/data", "HTTP_ADDR": f"127.0.0.1:{http_port}", "LOG_FORMAT": "json",
                    "METRICS_ADDR": f"127.0.0.1:{metrics_port}", "PUBLIC_BIDDING_URL": f"http://127.0.0.1:{http_port}"}
        child = self.start([f"{self.programs}/{name}"], pod, **settings)
        wait(f"{pod} is ready", lambda: get(f"http://127.0.0.1:{http_port}/ready") is not None)
        return child

    def discovered(self, name, pod, metrics_port):
        meta = {"namespace": "ad-platform", "pod_name": pod, "pod_label_app": name, "pod_phase": "Running",
                "pod_container_port_name": "metrics"}
        labels = {f"__meta_kubernetes_{key}": value for key, value in meta.items()}
        self.targets.append({"targets": [f"127.0.0.1:{metrics_port}"], "labels": labels})

    def write(self, name, content):
        with open(f"{self.work}/{name}", "w") as out:
            json.dump(content, out)

    def start_prometheus(self):
        config = yaml.safe_load(open(f"{HERE}/prometheus.yaml"))
        config["global"] = {key: faster(value) for key, value in config["global"].items()}
        config["global"]["scrape_timeout"] = config["global"]["scrape_interval"]
        config["rule_files"] = [f"{self.work}/rules-*.json"]
        config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [self.alertmanager]
        scrape = config["scrape_configs"][0]
        del scrape["kubernetes_sd_configs"]
        scrape["file_sd_configs"] = [{"files": [f"{self.work}/targets.json"]}]
        config["scrape_configs"] = [scrape]
        self.write("targets.json", self.targets)
        self.write("prometheus.json", config)
        for file in os.listdir(f"{HERE}/rules"):
            rules = yaml.safe_load(open(f"{HERE}/rules/{file}"))
            for rule in (rule for group in rules["groups"] for rule in group["rules"]):
                rule["expr"] = re.sub(r"\[(\w+)\]", lambda window: f"[{faster(window[1])}]", rule["expr"])
                if "for" in rule:
                    rule["for"] = faster(rule["for"])
            self.write(f"rules-{file}.json", rules)
        self.start(["prometheus", f"--config.file={self.work}/prometheus.json", f"--storage.tsdb.path={self.work}/tsdb",
                    f"--web.listen-address={self.prometheus}"], "prometheus")

    def start_alertmanager(self):
        live = self

        class Pager(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                live.told += [(self.path, alert["labels"]["alertname"], alert["status"]) for alert in body["alerts"]]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        pager = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pager)
        threading.Thread(target=pager.serve_forever, daemon=True).start()
        text = open(f"{HERE}/alertmanager.yaml").read()
        text = re.sub(r"(_(?:wait|interval): )(\w+)", lambda found: found[1] + faster(found[2]), text)
        text = re.sub(r"url_file: \S+/(\w+)-url", rf"url: http://127.0.0.1:{pager.server_port}/\1", text)
        with open(f"{self.work}/alertmanager.yaml", "w") as out:
            out.write(text)
        self.start(["prometheus-alertmanager", f"--config.file={self.work}/alertmanager.yaml", "--cluster.listen-address=",
                    f"--storage.path={self.work}/alerts", f"--web.listen-address={self.alertmanager}"], "alertmanager")

    def query(self, expr):
        answer = get(f"http://{self.prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expr}))
        return json.loads(answer)["data"]["result"] if answer else None

    def alert(self, name, state):
        return self.query(f'ALERTS{{alertname="{name}",alertstate="{state}"}}')

    def alerts(self):
        return {alert["metric"]["alertname"] for alert in self.query('ALERTS{alertstate="firing"}')}

    def recorded(self):
        for file in sorted(os.listdir(f"{HERE}/rules")):
            for group in yaml.safe_load(open(f"{HERE}/rules/{file}"))["groups"]:
                for rule in group["rules"]:
                    if name := rule.get("record"):
                        wait(f"{name} has data", lambda name=name: self.query(name))

    def autoscaling(self):
        for rule in yaml.safe_load(open(f"{HERE}/adapter.yaml"))["rules"]:
            expr = rule["metricsQuery"].replace("<<.GroupBy>>", "namespace, pod").replace("<<.LabelMatchers>>", 'namespace="ad-platform"')
            expr = re.sub(r"\[(\w+)\]", lambda window: f"[{faster(window[1])}]", expr)
            name = rule["name"]["as"]
            least = 2 if name.startswith("bid") else 1
            wait(f"{name} is one series a pod", lambda expr=expr, least=least: len(self.query(expr) or []) >= least)

    def panels(self):
        empty, asked = [], 0
        for file in sorted(os.listdir(f"{HERE}/dashboards")):
            board = json.load(open(f"{HERE}/dashboards/{file}"))
            for panel in board["panels"]:
                for target in panel["targets"]:
                    expr = re.sub(r"\[(\w+)\]", lambda window: f"[{faster(window[1])}]", target["expr"]).replace("$namespace", ".*")
                    result = self.query(expr)
                    if result is None:
                        sys.exit(f"FAILED: {file}, {panel['title']}: {expr} is refused")
                    asked += 1
                    if not result:
                        empty.append(f"{board['title']} / {panel['title']}")
        print(f"ok: {asked} queries of panels are answered; without data under this traffic: {sorted(set(empty)) or 'none'}")

    def stop(self):
        for child in self.children:
            child.send_signal(signal.SIGKILL)
            child.wait()


def keep_asking(url, stop):
    while not stop.wait(0.1):
        get(url)


def main():
    with tempfile.TemporaryDirectory() as work:
        live = Live(os.path.abspath(sys.argv[1]), work)
        stop = threading.Event()
        try:
            ports = {pod: (name, free_port(), free_port()) for name, pod in (
                ("campaign-service", "campaign-1"), ("analytics-service", "analytics-1"),
                ("bidding-service", "bidding-1"), ("bidding-service", "bidding-2"))}
            children = {}
            for pod, (name, http_port, metrics_port) in ports.items():
                children[pod] = live.service(name, pod, http_port, metrics_port)
                live.discovered(name, pod, metrics_port)
            for pod in ("bidding-1", "bidding-2"):
                live.start([f"{live.programs}/adplatform", "load", "--url", f"http://127.0.0.1:{ports[pod][1]}/openrtb2/bid",
                            "--rate", "50", "--duration", "600s", "--connections", "4"], f"load-{pod}")
            for pod in ("campaign-1", "analytics-1"):
                threading.Thread(target=keep_asking, args=(f"http://127.0.0.1:{ports[pod][1]}/campaigns", stop), daemon=True).start()
            live.start_alertmanager()
            live.start_prometheus()
            live.recorded()
            live.autoscaling()
            live.panels()
            wait("no alert while all is well", lambda: live.alerts() <= EXPECTED)
            children["analytics-1"].kill()
            wait("ServiceDown is pending or fires", lambda: live.query('ALERTS{alertname="ServiceDown"}'))
            wait("ServiceDown fires", lambda: live.alert("ServiceDown", "firing"))
            wait("the pager is told", lambda: ("/pager", "ServiceDown", "firing") in live.told)
            live.service("analytics-service", "analytics-1", *ports["analytics-1"][1:])
            wait("ServiceDown is over", lambda: live.query('ALERTS{alertname="ServiceDown"}') == [])
            wait("the pager is told that it is over", lambda: ("/pager", "ServiceDown", "resolved") in live.told)
        except BaseException:
            for name in sorted(os.listdir(work)):
                if name.endswith(".log"):
                    print(f"== {name}\n" + open(f"{work}/{name}", errors="replace").read()[-1500:])
            raise
        finally:
            stop.set()
            live.stop()


if __name__ == "__main__":
    main()
