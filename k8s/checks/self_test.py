"""Breaks every kind of reference once, and fails where a check does not complain.

    self_test.py FOLDER      with production.yaml, ingress.yaml, plain.yaml, local.yaml: each what a whole cluster is given, with what
                             watches it and its secrets, as k8s/check.sh renders them
"""

import copy
import pathlib
import sys

import cross_reference
import matrix
import routes
import yaml
from objects import Objects

DOMAIN = "adplatform.com"


def find(documents, kind, name):
    """By its name, or how it begins: some end in a hash."""
    found = [d for d in documents if d["kind"] == kind and d["metadata"]["name"].startswith(name)]
    if not found:
        sys.exit(f"self-test: no {kind} {name}")
    return min(found, key=lambda d: len(d["metadata"]["name"]))


def put(kind, name, path, value):
    """Sets what stands at `path` of one object."""

    def change(documents):
        place = find(documents, kind, name)
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


def drop(kind, name):
    return lambda documents: documents.remove(find(documents, kind, name))


def add(kind, name, path, value):
    def change(documents):
        place = find(documents, kind, name)
        for step in path[:-1]:
            place = place[step]
        place.setdefault(path[-1], []).append(value)

    return change


POD = ["spec", "template", "spec"]
CONTAINER = [*POD, "containers", 0]
BIDDER = ("Deployment", "bidding-service")
API = ("Deployment", "campaign-service")
ADAPTER = ("Deployment", "prometheus-adapter")
STATE = ("Deployment", "kube-state-metrics")
PATH = ["spec", "rules", 0, "http", "paths", 0]
BACKEND = [*PATH, "backend"]

# What is broken, how, and a word of the complaint.
PRODUCTION = [
    ("a pooler unknown to who goes by it", put("ExternalSecret", "database-secret", ["spec", "target", "template", "data", "url"],
        "postgres://{{ .username }}:{{ .password }}@postgres-pooler.ad-platform.svc.cluster.local:5432/x"), "without statement-cache-capacity=0"),
    ("a Service's target", put("Service", "campaign-service", ["spec", "ports", 0, "targetPort"], "nope"), "leads to port nope"),
    ("a Service's selector", put("Service", "campaign-service", ["spec", "selector"], {"app": "x"}), "selects no pod"),
    ("a probe's port", put(*API, [*CONTAINER, "readinessProbe", "httpGet", "port"], 1), "asks port 1"),
    ("a probe's path", put(*API, [*CONTAINER, "readinessProbe", "httpGet", "path"], "/nope"), "does not answer"),
    ("the port of metrics", put(*BIDDER, [*CONTAINER, "ports"], [{"name": "http", "containerPort": 8080}]), "port 9090 named metrics"),
    ("a secret", drop("ExternalSecret", "redis-secret"), "Secret redis-secret, which nothing makes"),
    ("a secret's key", add(*API, [*CONTAINER, "env"], {"name": "ADMIN_API_KEY", "valueFrom": {"secretKeyRef": {
        "name": "ad-platform-secret", "key": "nope"}}}), "reads key nope"),
    ("a ConfigMap", add(*API, [*CONTAINER, "env"], {"name": "LOG_LEVEL", "valueFrom": {"configMapKeyRef": {
        "name": "nope", "key": "x"}}}), "ConfigMap nope"),
    ("an account", put(*API, [*POD, "serviceAccountName"], "nope"), "ServiceAccount nope"),
    ("a priority", put(*API, [*POD, "priorityClassName"], "nope"), "PriorityClass nope"),
    ("a volume", add(*API, [*CONTAINER, "volumeMounts"], {"name": "nope", "mountPath": "/x"}), "mounts volume nope"),
    ("an image", put(*API, [*CONTAINER, "image"], "adplatform/campaign-service:latest"), "not pinned"),
    ("a job's version", put("Job", "redis-cluster-init", [*CONTAINER, "image"], "redis:7.4.3-bookworm"), "does not end in the version"),
    ("a setting", add(*API, [*CONTAINER, "env"], {"name": "NO_SUCH", "value": "1"}), "NO_SUCH, which no binary reads"),
    ("a variable in a variable", add(*API, [*CONTAINER, "env"], {"name": "ANALYTICS_URL", "value": "$(NOPE)"}), "not defined before it"),
    ("a host", add(*API, [*CONTAINER, "env"], {"name": "ANALYTICS_URL", "value": "http://nope.ad-platform.svc.cluster.local:80"}),
     "a host that nothing makes"),
    ("a host's port", add(*API, [*CONTAINER, "env"], {"name": "ANALYTICS_URL",
        "value": "http://analytics-service.ad-platform.svc.cluster.local:81"}), "alone"),
    ("a spread", put(*BIDDER, [*POD, "topologySpreadConstraints", 0, "labelSelector"], {"matchLabels": {"app": "x"}}), "not its own"),
    ("replicas beside a scaler", put(*BIDDER, ["spec", "replicas"], 3), "sets replicas"),
    ("a scaler's target", put("HorizontalPodAutoscaler", "bidding", ["spec", "scaleTargetRef", "name"], "nope"), "scales nope"),
    ("a scaler's metric", put("HorizontalPodAutoscaler", "bidding", ["spec", "metrics"], [{"type": "Pods", "pods": {
        "metric": {"name": "nope"}}}]), "no adapter rule serves"),
    ("a budget", put("PodDisruptionBudget", "bidding", ["spec", "selector"], {"matchLabels": {"app": "x"}}), "guards no pod"),
    ("a route's backend", put("HTTPRoute", "bidding", ["spec", "rules", 0, "backendRefs", 0, "name"], "nope"), "Service nope"),
    ("a route's gateway", put("HTTPRoute", "bidding", ["spec", "parentRefs", 0, "name"], "nope"), "hangs on Gateway nope"),
    ("a route's path", put("HTTPRoute", "api", ["spec", "rules", 0, "matches", 0, "path", "value"], "/nope"), "goes to"),
    ("a route's host", put("HTTPRoute", "bidding", ["spec", "hostnames"], ["x.example"]), "is a host of no service"),
    ("an upload's time", put("HTTPRoute", "api", ["spec", "rules", 1, "timeouts"], {"request": "30s"}), "does not let uploads"),
    ("a certificate's host", put("Certificate", "", ["spec", "dnsNames"], ["x.example"]), "is not for"),
    ("a policy's pods", put("NetworkPolicy", "entrance-to-services", ["spec", "podSelector"], {"matchLabels": {"app": "x"}}), "is for no pod"),
    ("a policy that is missing", drop("NetworkPolicy", "entrance-to-services"), "may not reach it"),
    ("a policy that is too wide", put("NetworkPolicy", "entrance-to-services", ["spec", "ingress"], [{}]), "which nothing needs"),
    # What scales, and what watches.
    ("the adapter's rules", drop("ConfigMap", "prometheus-adapter-config"), "no adapter rule serves"),
    ("the adapter's rules, unread", put(*ADAPTER, [*POD, "volumes", 0, "configMap", "name"], "ad-platform-config"), "no adapter rule serves"),
    ("the API of metrics", drop("APIService", "v1beta1.custom"), "no adapter rule serves"),
    ("the API's port", put("APIService", "v1beta1.custom", ["spec", "service", "port"], 1), "leads to port 1"),
    ("the adapter's Prometheus", drop("Service", "prometheus"), "a host that nothing makes"),
    ("the adapter's policy", drop("NetworkPolicy", "prometheus-adapter"), "prometheus-adapter needs monitoring:9090"),
    ("who is told", drop("ExternalSecret", "alertmanager-receivers"), "Secret alertmanager-receivers, which nothing makes"),
    ("the pager's file", put("ExternalSecret", "alertmanager-receivers", ["spec", "data"], [{"secretKey": "nope"}]), "reads /etc/alertmanager"),
    ("where logs go", drop("ExternalSecret", "log-collector-receiver"), "Secret log-collector-receiver, which nothing makes"),
    ("where traces go", put("ExternalSecret", "traces-receiver", ["spec", "data"], [{"secretKey": "nope"}]), "reads key url"),
    ("Grafana's password", drop("ExternalSecret", "grafana-secret"), "Secret grafana-secret, which nothing makes"),
    ("Alertmanager's account", drop("ServiceAccount", "alertmanager"), "ServiceAccount alertmanager"),
    ("a target of Prometheus", drop("Service", "kube-state-metrics"), "names kube-state-metrics:8080"),
    ("kinds that alerts ask for", put(*STATE, [*CONTAINER, "args"], ["--resources=pods", "--namespaces=ad-platform"]), "does not serve"),
    ("kinds that may be read", put("Role", "kube-state-metrics", ["rules"], []), "may not read jobs"),
    ("who tells Prometheus", drop("Service", "alertmanager"), "names alertmanager:9093"),
]  # fmt: skip

# The Ingress, which no overlay has.
INGRESS = [
    ("an Ingress' backend", put("Ingress", "ad-platform-bidding", [*BACKEND, "service", "name"], "nope"), "Service nope"),
    ("an Ingress' port", put("Ingress", "ad-platform-bidding", [*BACKEND, "service", "port", "number"], 81), "leads to port 81"),
    ("an Ingress' path", put("Ingress", "ad-platform-ingress", [*PATH, "path"], "/nope"), "goes to"),
    ("an Ingress' certificate", put("Ingress", "ad-platform-uploads", ["spec", "tls", 0, "secretName"], "nope"), "Secret nope"),
    ("an Ingress' uploads", put("Ingress", "ad-platform-uploads", ["metadata", "annotations", "nginx.ingress.kubernetes.io/proxy-body-size"],
        "5m"), "does not let uploads"),
    ("a challenge's policy", drop("NetworkPolicy", "acme-challenges"), "acme-challenge:8089"),
]  # fmt: skip

# Stores without operators.
PLAIN = [
    ("Patroni's policy", drop("NetworkPolicy", "patroni"), "postgres needs postgres:8008"),
    ("Patroni's role", drop("Role", "postgres"), "grants Role postgres"),
    ("Patroni's configuration", drop("ConfigMap", "postgres-config"), "ConfigMap postgres-config"),
    ("the primary's address", drop("Service", "postgres-service"), "postgres-service.ad-platform.svc.cluster.local:5432, a host"),
    ("the primary's port", put("Service", "postgres-service", ["spec", "ports", 0, "targetPort"], "nope"), "leads to port nope"),
    ("a replication password", put("ExternalSecret", "postgres-secret", ["spec", "data"], [{"secretKey": "username"}]), "reads key replication"),
    ("the archive's policy", drop("NetworkPolicy", "archive-to-postgres"), "postgres-archive"),
    ("the Cluster's bus", put("NetworkPolicy", "redis-cluster-nodes", ["spec", "egress"], []), "redis-cluster needs redis-cluster:16379"),
    ("a store's account", put("StatefulSet", "kafka", [*POD, "serviceAccountName"], "nope"), "ServiceAccount nope"),
]  # fmt: skip

# A laptop's: its own sizes, and secrets by scripts.
LOCAL = [
    ("a secret that no script makes", drop("Secret", "database-secret"), "Secret database-secret, which nothing makes"),
    ("an address in a secret", put("Secret", "database-secret", ["stringData", "url"],
        "postgres://a:b@nope.ad-platform.svc.cluster.local:5432/x"), "a host that nothing makes"),
    ("the one broker's address", drop("Service", "kafka"), "a host that nothing makes"),
    ("a laptop's pager", drop("Secret", "alertmanager-receivers"), "Secret alertmanager-receivers, which nothing makes"),
    ("a rollout's volume", put(*API, [*CONTAINER, "volumeMounts", 0, "name"], "nope"), "mounts volume nope"),
]  # fmt: skip

MUTATIONS = {"production": PRODUCTION, "ingress": INGRESS, "plain": PLAIN, "local": LOCAL}


def complaints(documents):
    objects = Objects(documents)
    yield from cross_reference.mistakes(objects)
    yield from matrix.mistakes(objects)
    yield from routes.mistakes(objects, DOMAIN)


def main():
    missed = made = 0
    for render, mutations in MUTATIONS.items():
        text = (pathlib.Path(sys.argv[1]) / f"{render}.yaml").read_text(encoding="utf-8")
        documents = [d for d in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if d]
        # A complaint counts where there was none before.
        before = set(complaints(documents))
        if before:
            sys.exit(f"self-test: {render} is not whole: {', '.join(sorted(before))}")
        for name, change, word in mutations:
            made += 1
            broken = copy.deepcopy(documents)
            change(broken)
            if not any(word in complaint for complaint in complaints(broken)):
                missed += 1
                print(f"{render}: {name} was broken, and nobody said {word!r}")
    print(f"{made - missed} of {made} mutations were seen")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
