"""Scaler <-> adapter rule <-> scrape <-> metric that the binaries export. Alerts and panels: k8s/monitoring."""

import json
import re

import yaml
from objects import namespace_of, title

OURS = ("campaign-service", "bidding-service", "analytics-service")
API = "v1beta1.custom.metrics.k8s.io"
# A selector's metric: `name{...}` or `{__name__="name",...}`.
NAME = re.compile(r'^(?:\{__name__=")?([a-z_:][a-z0-9_:]*)')
SUFFIX = re.compile(r"_(bucket|sum|count)$")


def mistakes(objects, exported):
    """`exported`: names of the metric families that the binaries export."""
    rules = list(_adapter_rules(objects))
    served = {}
    for rule in rules:
        series = NAME.match(rule["seriesQuery"]).group(1)
        name = rule.get("name", {}).get("as", series)
        served[name] = series
        if SUFFIX.sub("", series) not in exported:
            yield f"the adapter's rule for {name} asks {series}, which no binary exports"
    for scaler in objects.of("HorizontalPodAutoscaler"):
        for metric in scaler["spec"]["metrics"]:
            if metric["type"] == "Pods" and metric["pods"]["metric"]["name"] not in served:
                yield f"{title(scaler)} scales by {metric['pods']['metric']['name']}, which no adapter rule serves"
    for scaled in objects.of("ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            for name in re.findall(r"\b[a-z]\w*_total\b", trigger.get("metadata", {}).get("query", "")):
                if name not in exported:
                    yield f"{title(scaled)} asks {name}, which no binary exports"
    yield from _scraped(objects)


def _adapter_rules(objects):
    """Of the ConfigMaps that pods behind the API of custom metrics mount: rules that nobody reads serve nothing."""
    for api in objects.of("APIService"):
        reference = api["spec"]["service"]
        service = objects.find("Service", reference["name"], reference["namespace"])
        if api["metadata"]["name"] != API or not service:
            continue
        for workload in objects.pods(reference["namespace"], {"matchLabels": service["spec"]["selector"]}):
            mounted = [volume["configMap"]["name"] for volume in workload.spec.get("volumes", []) if "configMap" in volume]
            for config in filter(None, (objects.find("ConfigMap", name, workload.namespace) for name in mounted)):
                for text in (config.get("data") or {}).values():
                    if "seriesQuery" in text:
                        yield from _rules(text)


def _rules(text):
    for document in yaml.safe_load_all(text):
        yield from (document or {}).get("rules", [])


def _scraped(objects):
    """Each of our pods has the one port that Prometheus looks for, and each PodMonitor finds it."""
    for workload in objects.workloads():
        if workload.name in OURS and workload.ports().get("metrics") != 9090:
            yield f"{workload} has no port 9090 named metrics"
    for monitor in objects.of("PodMonitor"):
        names = monitor["spec"].get("namespaceSelector", {}).get("matchNames", [namespace_of(monitor)])
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            pods = [w for n in names for w in objects.pods(n, monitor["spec"]["selector"])]
            if not any(endpoint["port"] in w.ports() for w in pods):
                yield f"{title(monitor)} scrapes port {endpoint['port']}, which no pod of it has"


def exported(path):
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    families = document["metrics"] if isinstance(document, dict) else document
    return {family["name"] for family in families}
