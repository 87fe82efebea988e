"""Deployments that hold, fail and burn, on the API server that kubectl speaks to (pipeline/try.sh starts it) and a real Prometheus.

Controllers are real, and Helm is. Nobody runs containers: a thread tells pods ready, but for those whose image is called broken."""

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
import unittest
import urllib.parse

import burning
import yaml

ROOT = burning.ROOT
NAMESPACE = "ad-platform"
SERVICES = ("analytics-service", "bidding-service", "campaign-service")


class Cluster:
    """The API, and what kubelets would do."""

    def __init__(self):
        with open(os.environ["KUBECONFIG"], encoding="utf-8") as file:
            config = yaml.safe_load(file)
        self.address = urllib.parse.urlparse(config["clusters"][0]["cluster"]["server"])
        self.token = config["users"][0]["user"]["token"]

    def call(self, method, path, body=None):
        connection = http.client.HTTPSConnection(
            self.address.hostname, self.address.port, context=ssl._create_unverified_context(), timeout=10)
        try:
            connection.request(method, path, body and json.dumps(body), {
                "authorization": f"Bearer {self.token}", "content-type": "application/merge-patch+json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def run_pods(self):
        base = f"/api/v1/namespaces/{NAMESPACE}/pods"
        while True:
            try:
                for pod in self.call("GET", base).get("items", []):
                    status = self.status(pod)
                    if status and pod["status"].get("phase") != status["phase"]:
                        self.call("PATCH", f"{base}/{pod['metadata']['name']}/status", {"status": status})
            except OSError:
                pass
            time.sleep(0.3)

    @staticmethod
    def status(pod):
        images = [c["image"] for c in pod["spec"]["containers"]]
        if any(":broken" in image for image in images):
            return None
        if pod["spec"]["restartPolicy"] != "Always":
            return {"phase": "Succeeded", "containerStatuses": [
                {"name": c["name"], "image": c["image"], "imageID": "", "ready": False, "restartCount": 0,
                 "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}} for c in pod["spec"]["containers"]]}
        return {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "conditions": [
            {"type": kind, "status": "True"} for kind in ("Initialized", "ContainersReady", "Ready")]}

    def tags(self):
        found = self.call("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments").get("items", [])
        return {d["metadata"]["name"]: re.sub(".*:", "", d["spec"]["template"]["spec"]["containers"][0]["image"]) for d in found}


class OnACluster(burning.WithPrometheus):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = Cluster()
        threading.Thread(target=cls.cluster.run_pods, daemon=True).start()

    def deploy(self, tag, *words, watched=True):
        which = ["--prometheus", self.url, "--watch", "4", "--canary-watch", "4"] if watched else ["--unwatched"]
        flags = "--window 1500ms --interval 0.5 --requests 20"
        return subprocess.Popen([ROOT / "pipeline/deploy.sh", "production", "--tag", tag, "--unsigned", *which, *words], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | {"TIMEOUT": "40s", "SLO_FLAGS": flags})

    def assert_ends(self, process, status, word):
        said, _ = process.communicate(timeout=300)
        self.assertEqual(process.returncode, status, said)
        self.assertIn(word, said)
        return said

    def assert_runs(self, tag):
        """All three, and no canary."""
        self.assertEqual(self.cluster.tags(), dict.fromkeys(SERVICES, tag))

    def test_a_releases_life(self):
        with self.subTest("the first one"):
            self.assert_ends(self.deploy("v1", watched=False), 0, "deployed: v1")
            self.assert_runs("v1")
        with self.subTest("one by a canary"):
            said = self.assert_ends(self.deploy("v2", "--strategy", "canary"), 0, "deployed: v2")
            self.assertIn("canary: 1", said)
            self.assert_runs("v2")
        with self.subTest("one whose pods do not turn ready goes back"):
            self.assert_ends(self.deploy("broken"), 1, "not deployed: broken")
            self.assert_runs("v2")
        with self.subTest("one whose canary burns touches nothing else"):
            burning.Pods.bad["bidding-service-canary-1"] = 0.3
            self.assert_ends(self.deploy("v3", "--strategy", "canary"), 1, "the canary does not hold")
            self.assert_runs("v2")
            burning.Pods.bad["bidding-service-canary-1"] = 0.0
        with self.subTest("one that burns once it is everywhere goes back"):
            burning.Pods.bad["bidding-service-1"] = 0.3
            self.assert_ends(self.deploy("v3"), 1, "burning: bids")
            self.assert_runs("v2")
            burning.Pods.bad["bidding-service-1"] = 0.0
        with self.subTest("one that is interrupted goes back"):
            process = self.deploy("v3", "--watch", "60")
            self.within(200, lambda: self.cluster.tags().get("campaign-service") == "v3", "the rollout")
            process.send_signal(signal.SIGTERM)
            self.assert_ends(process, 143, "not deployed: v3")
            self.assert_runs("v2")
        with self.subTest("by hand it goes to the one before"):
            self.assertEqual(subprocess.run([ROOT / "pipeline/rollback.sh"], check=False).returncode, 0)
            self.assert_runs("v1")


if __name__ == "__main__":
    unittest.main()
