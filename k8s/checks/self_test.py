"""Breaks every kind of reference once, and fails where a check does not complain.

    kubectl kustomize k8s/overlays/production | python3 k8s/checks/self_test.py
"""

import copy
import sys

import cross_reference
import matrix
import routes
import yaml
from objects import Objects

DOMAIN = "adplatform.com"


def find(documents, kind, name):
    found = [d for d in documents if d["kind"] == kind and d["metadata"]["name"].startswith(name)]
    if not found:
        sys.exit(f"self-test: no {kind} {name}")
    return found[0]


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

# What is broken, how, and a word of the complaint.
MUTATIONS = [
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
]  # fmt: skip


def complaints(documents):
    objects = Objects(documents)
    yield from cross_reference.mistakes(objects)
    yield from matrix.mistakes(objects)
    yield from routes.mistakes(objects, DOMAIN)


def main():
    documents = [d for d in yaml.load_all(sys.stdin, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if d]
    missed = 0
    for name, change, word in MUTATIONS:
        broken = copy.deepcopy(documents)
        change(broken)
        if not any(word in complaint for complaint in complaints(broken)):
            missed += 1
            print(f"{name} was broken, and nobody said {word!r}")
    print(f"{len(MUTATIONS) - missed} of {len(MUTATIONS)} mutations were seen")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
