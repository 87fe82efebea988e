#!/usr/bin/env python3
"""The PodMonitor on a real Prometheus over the running services: pod_monitor.py PROGRAMS GENERATOR, by pod_monitor.sh.

The scrape configuration is what the operator's own code makes of it. Only discovery is replaced, by a file with the labels that it
would give, of the services' pods and of what must be left alone.
"""
import re
import subprocess
import sys
import tempfile

import yaml

from live import scraped_once
from stage import HERE, PODS, Stage, wait

# Port, app, phase and namespace of pods that nobody asked for.
DECOYS = [("http", "bidding-service", "Running", "ad-platform"), ("metrics", "postgres", "Running", "ad-platform"),
          ("metrics", "bidding-service", "Succeeded", "ad-platform")]


def generated(generator):
    told = subprocess.run(["prometheus", "--version"], capture_output=True, text=True, check=True)
    version = "v" + re.search(r"version (\d+\.\d+\.\d+)", told.stdout + told.stderr)[1]
    text = subprocess.check_output([generator, f"{HERE}/operator/pod-monitor.yaml", version], text=True)
    # What the operator's reloader puts in: a server that is alone.
    return yaml.safe_load(text.replace("$(SHARD)", "0"))


def target(stage, pod, port="metrics", app=None, phase="Running", namespace="ad-platform"):
    meta = {"namespace": namespace, "pod_name": pod, "pod_phase": phase, "pod_label_app": app or PODS[pod],
            "pod_labelpresent_app": "true", "pod_container_name": app or PODS[pod], "pod_container_port_name": port}
    address = stage.ports["bidding-1"][0] if port == "http" else stage.ports.get(pod, stage.ports["bidding-1"])[1]
    return {"targets": [f"127.0.0.1:{address}"], "labels": {f"__meta_kubernetes_{key}": value for key, value in meta.items()}}


def main():
    config = generated(sys.argv[2])
    job, = config["scrape_configs"]
    discovery, = job.pop("kubernetes_sd_configs")
    if discovery["namespaces"] != {"names": ["ad-platform"]}:
        sys.exit(f"FAILED: looks for pods in {discovery}")
    with tempfile.TemporaryDirectory() as work:
        stage = Stage(sys.argv[1], work)
        job["file_sd_configs"] = [{"files": [f"{work}/targets.json"]}]
        job["scrape_interval"] = job["scrape_timeout"] = "1s"
        try:
            stage.write("targets.json", [target(stage, pod) for pod in PODS] + [
                target(stage, f"decoy-{at}", *decoy) for at, decoy in enumerate(DECOYS)])
            stage.start_services()
            stage.run_prometheus(config)
            scraped_once(stage)
            if len(stage.query("up")) != len(PODS):
                sys.exit(f"FAILED: somebody else is scraped: {stage.query('up')}")
            one = wait("a metric has the same labels", lambda: stage.query('ready{pod="bidding-1"}'))[0]["metric"]
            print(f"    {one}")
        except BaseException:
            for name, text in stage.logs():
                print(f"== {name}\n{text[-1500:]}")
            raise
        finally:
            stage.stop()


if __name__ == "__main__":
    main()
