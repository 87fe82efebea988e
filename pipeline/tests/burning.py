"""pipeline/slo.py on a real Prometheus with the project's own recording rules, over pods whose counters the test turns.

Durations are those of production divided by sixty, as in k8s/monitoring/live.py."""

import contextlib
import http.server
import importlib.util
import itertools
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FASTER = 60
MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
PODS = ("bidding-service-1", "bidding-service-canary-1", "campaign-service-1")


def faster(text):
    return re.sub(r"\[(\d+)(ms|s|m|h|d)\]", lambda found: f"[{max(1, int(found[1]) * MS[found[2]] // FASTER)}ms]", text)


class Pods(http.server.BaseHTTPRequestHandler):
    """Counters by pod, turned a hundred times a second: `bad` is the share of requests that fail."""

    bad = dict.fromkeys(PODS, 0.0)
    trading = True
    told = 0
    counters: dict = {}
    lock = threading.Lock()

    @classmethod
    def turn(cls):
        for tick in itertools.count():
            time.sleep(0.01)
            with cls.lock:
                for pod in PODS if cls.trading else ():
                    failing = tick % 100 < cls.bad[pod] * 100
                    if pod.startswith("bidding"):
                        key = f'bid_requests_total{{exchange="default",outcome="{"late" if failing else "bid"}"}}'
                    else:
                        key = f'http_requests_total{{service="campaign-service",status="{500 if failing else 200}"}}'
                    cls.counters[pod, key] = cls.counters.get((pod, key), 0) + 1

    def do_GET(self):
        pod = self.path.strip("/")
        with self.lock:
            mine = [f"{key} {value}" for (of, key), value in self.counters.items() if of == pod]
        mine.append(f"told {self.told}")
        # A counter is there from the start, as the services' are.
        for key in ('bid_requests_total{exchange="default",outcome="late"}', "bid_panics_total"):
            if pod.startswith("bidding") and not any(line.startswith(key) for line in mine):
                mine.append(f"{key} 0")
        body = ("\n".join(mine) + "\n").encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # a scrape that was not waited for
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class WithPrometheus(unittest.TestCase):
    """A real Prometheus over the pods of the test."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        work = pathlib.Path(folder.name)
        pods = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pods)
        threading.Thread(target=pods.serve_forever, daemon=True).start()
        threading.Thread(target=Pods.turn, daemon=True).start()
        rules = yaml.safe_load(faster((ROOT / "k8s/monitoring/rules/recording.yaml").read_text(encoding="utf-8")))
        rules["groups"].append({"name": "told", "rules": [{"alert": "Told", "expr": "told > 0", "labels": {"severity": "critical"}}]})
        (work / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
        jobs = [{"job_name": pod, "metrics_path": f"/{pod}", "static_configs": [
            {"targets": [f"127.0.0.1:{pods.server_port}"], "labels": {"namespace": "ad-platform", "pod": pod}}]} for pod in PODS]
        (work / "prometheus.yml").write_text(yaml.safe_dump({
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"},
            "rule_files": [str(work / "rules.yaml")], "scrape_configs": jobs}), encoding="utf-8")
        port = free_port()
        cls.url = f"http://127.0.0.1:{port}"
        cls.server = subprocess.Popen(
            ["prometheus", f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={work}/data", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.server.wait)
        cls.addClassCleanup(cls.server.kill)
        cls.within(30, lambda: cls.query("namespace:bid_errors:ratio_5m"), "Prometheus evaluates the rules")

    def setUp(self):
        Pods.bad = dict.fromkeys(PODS, 0.0)
        Pods.trading, Pods.told = True, 0
        time.sleep(0.5)  # two scrapes: what an earlier test broke ended before the watch begins

    @classmethod
    def query(cls, query):
        try:
            with urllib.request.urlopen(f"{cls.url}/api/v1/query?" + urllib.parse.urlencode({"query": query}), timeout=5) as answer:
                return json.load(answer)["data"]["result"]
        except OSError:
            return []

    @staticmethod
    def within(seconds, condition, what):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"not in time: {what}")
            time.sleep(0.05)


class Burning(WithPrometheus):
    def watch(self, *words, seconds="3", url=None, requests="20"):
        return subprocess.run(
            [ROOT / "pipeline/slo.py", "--prometheus", url or self.url, "--seconds", seconds, "--interval", "0.3", "--window", "1500ms",
             "--requests", requests, *words], capture_output=True, text=True, check=False, timeout=60)

    def assert_verdict(self, done, status, word):
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertIn(word, done.stdout)

    def test_a_release_that_answers_in_time_is_well(self):
        self.assert_verdict(self.watch(), 0, "well")

    def test_late_bids_burn_and_are_seen_before_the_watch_is_over(self):
        Pods.bad["bidding-service-1"] = 0.2
        begin = time.monotonic()
        self.assert_verdict(self.watch(seconds="30"), 1, "burning: bids")
        self.assertLess(time.monotonic() - begin, 15)

    def test_failing_api_calls_burn(self):
        Pods.bad["campaign-service-1"] = 0.2
        self.assert_verdict(self.watch(seconds="30"), 1, "burning: api")

    def test_a_canary_is_told_apart_from_what_is_beside_it(self):
        Pods.bad["bidding-service-canary-1"] = 0.2
        canary = ("--objective", "bids", "--pods", "bidding-service-canary-.*")
        self.assert_verdict(self.watch(*canary, seconds="30"), 1, "burning: bids")
        Pods.bad = {**dict.fromkeys(PODS, 0.0), "bidding-service-1": 0.2}
        time.sleep(0.5)
        self.assert_verdict(self.watch(*canary), 0, "well")

    def test_an_alert_that_fires_anew_is_a_verdict_and_one_of_before_is_none(self):
        Pods.told = 1
        self.within(20, lambda: self.query('ALERTS{alertname="Told",alertstate="firing"}'), "the alert fires")
        self.assert_verdict(self.watch(), 0, "well")
        Pods.told = 0
        self.within(20, lambda: not self.query('ALERTS{alertname="Told",alertstate="firing"}'), "the alert ends")
        late = threading.Timer(1, setattr, (Pods, "told", 1))
        late.start()
        self.assert_verdict(self.watch(seconds="30"), 1, "burning: Told")

    def test_a_release_that_mends_what_burned_is_not_blamed(self):
        Pods.bad["bidding-service-1"] = 0.5
        self.within(20, lambda: float(self.query("namespace:bid_errors:ratio_5m")[0]["value"][1]) > 0.1, "the rule sees it")
        Pods.bad["bidding-service-1"] = 0.0
        time.sleep(0.5)
        self.assert_verdict(self.watch(), 0, "well")

    def test_without_traffic_there_is_no_verdict_unless_quiet_is_well(self):
        Pods.trading = False
        time.sleep(0.5)
        self.assert_verdict(self.watch(), 3, "no verdict")
        self.assert_verdict(self.watch("--quiet-is-well"), 0, "well")

    def test_a_prometheus_that_is_away_is_no_verdict(self):
        self.assert_verdict(self.watch(url=f"http://127.0.0.1:{free_port()}"), 3, "no answer")

    def test_what_is_bad_is_what_the_recording_rules_call_bad(self):
        Pods.bad["bidding-service-1"] = 0.3
        spec = importlib.util.spec_from_file_location("slo", ROOT / "pipeline/slo.py")
        slo = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(slo)

        def agree():
            rule = self.query("namespace:bid_errors:ratio_5m")
            requests, bad = slo.looked(slo.options(["--prometheus", self.url, "--objective", "bids"]), 5)["bids"]
            return rule and requests and abs(float(rule[0]["value"][1]) - bad / requests) < 0.02 and bad / requests > 0.1

        self.within(20, agree, "the same share of bad bids")

    def test_a_call_that_makes_no_sense_is_refused(self):
        for words in (["--prometheus", "nowhere"], [], ["--prometheus", self.url, "--pods", '"} or vector(1)'], ["--prometheus", self.url, "--seconds", "10"]):
            self.assertEqual(subprocess.run([ROOT / "pipeline/slo.py", *words], capture_output=True, check=False).returncode, 2)


if __name__ == "__main__":
    unittest.main()
