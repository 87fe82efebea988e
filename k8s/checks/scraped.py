"""Those who watch: targets of Prometheus, files that a configuration names, what kube-state-metrics must see, Grafana's source."""

import re

import yaml
from objects import namespace_of, title

# Services that something else installs.
INSTALLED = {("cert-manager", "cert-manager", 9402)}
TARGET = re.compile(r"^([a-z0-9-]+)(?:\.([a-z0-9-]+))?:(\d+)$")
KUBE = re.compile(r"\bkube_([a-z]+)_[a-z_]+")
# What kube-state-metrics calls by one word in a metric, and by another in its arguments and the API.
RESOURCES = {"pod": "pods", "job": "jobs", "horizontalpodautoscaler": "horizontalpodautoscalers", "deployment": "deployments",
             "statefulset": "statefulsets", "persistentvolumeclaim": "persistentvolumeclaims", "cronjob": "cronjobs"}


def mistakes(objects):
    for config in objects.of("ConfigMap"):
        for file, text in (config.get("data") or {}).items():
            if file.endswith(".yaml") and namespace_of(config) != "ad-platform":
                document = yaml.safe_load(text)
                yield from _targets(objects, config, document)
                yield from _files(objects, config, document)
                yield from _sources(objects, config, document)
    yield from _cluster_state(objects)


def _targets(objects, config, document):
    """Each static target is a port of a Service; a short name is one of the same namespace."""
    jobs = document.get("scrape_configs", []) + document.get("alerting", {}).get("alertmanagers", [])
    for job in jobs:
        for target in [target for static in job.get("static_configs", []) for target in static["targets"]]:
            yield from _leads(objects, config, target)


def _sources(objects, config, document):
    for source in document.get("datasources", []):
        yield from _leads(objects, config, source["url"].removeprefix("http://"))


def _leads(objects, config, target):
    found = TARGET.match(target)
    name, namespace, port = (found[1], found[2] or namespace_of(config), int(found[3])) if found else (target, None, None)
    service = found and objects.find("Service", name, namespace)
    known = service and port in [p["port"] for p in service["spec"]["ports"]]
    if not known and (name, namespace, port) not in INSTALLED:
        yield f"{title(config)} names {target}, which no Service answers"


def _files(objects, config, document):
    """A file that a receiver's address is read from is a key of a Secret that the pods with this configuration mount."""
    for receiver in document.get("receivers", []) if isinstance(document.get("receivers"), list) else []:
        for hook in receiver.get("webhook_configs", []):
            folder, _, key = hook["url_file"].rpartition("/")
            for workload in objects.workloads():
                volumes = {v["name"]: v for v in workload.spec.get("volumes", [])}
                if config["metadata"]["name"] not in [v.get("configMap", {}).get("name") for v in volumes.values()]:
                    continue
                mounts = [m for c in workload.containers() for m in c.get("volumeMounts", []) if m["mountPath"] == folder]
                secrets = [volumes[m["name"]]["secret"]["secretName"] for m in mounts if "secret" in volumes[m["name"]]]
                found = [objects.find("Secret", name, workload.namespace) or {} for name in secrets]
                if not any(key in {**(s.get("data") or {}), **(s.get("stringData") or {})} for s in found):
                    yield f"{title(config)} reads {hook['url_file']}, which {workload} does not have"


def _cluster_state(objects):
    """kube-state-metrics serves what rules ask for, and may read it."""
    asked = set()
    for config in objects.of("ConfigMap"):
        if namespace_of(config) != "ad-platform":
            for text in (config.get("data") or {}).values():
                asked.update(RESOURCES.get(word, word) for word in KUBE.findall(text))
    readers = [w for w in objects.workloads() if w.name == "kube-state-metrics"]
    if asked and not readers:
        yield "rules ask for the cluster's state, and kube-state-metrics is not there"
    for reader in readers:
        arguments = dict(a.removeprefix("--").split("=", 1) for c in reader.containers() for a in c["args"])
        served = set(arguments["resources"].split(","))
        for resource in sorted(asked - served):
            yield f"rules ask for {resource}, which kube-state-metrics does not serve"
        for namespace in arguments["namespaces"].split(","):
            for resource in sorted(served - _readable(objects, reader, namespace)):
                yield f"kube-state-metrics may not read {resource} of namespace {namespace}"


def _readable(objects, reader, namespace):
    resources = set()
    for binding in objects.of("RoleBinding"):
        bound = {(s["name"], s.get("namespace")) for s in binding["subjects"]}
        if namespace_of(binding) == namespace and (reader.spec["serviceAccountName"], reader.namespace) in bound:
            role = objects.find("Role", binding["roleRef"]["name"], namespace) or {"rules": []}
            resources.update(r for rule in role["rules"] if {"list", "watch"} <= set(rule["verbs"]) for r in rule["resources"])
    return resources
