"""Rendered Kubernetes objects, and the questions the checks ask of them."""

import yaml
from operators import made_by_controllers

WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"}


class Objects:
    """What one `apply` would create, and what controllers would make of it."""

    def __init__(self, documents):
        self.all = [document for document in documents if document]
        self.made = list(made_by_controllers(self.all))

    @classmethod
    def read(cls, text):
        # The C loader is ten times as fast, and not everywhere.
        return cls(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))

    def of(self, *kinds):
        return [o for o in self.all if o["kind"] in kinds]

    def find(self, kind, name, namespace):
        for o in self.all + self.made:
            if o["kind"] == kind and o["metadata"]["name"] == name and namespace_of(o) == namespace:
                return o
        return None

    def workloads(self):
        return [Workload(o) for o in self.all if o["kind"] in WORKLOADS]

    def all_pods(self):
        return self.workloads() + [Workload(o) for o in self.made if o["kind"] in WORKLOADS]

    def pods(self, namespace, selector):
        """What makes pods in the namespace that a label selector matches."""
        return [w for w in self.all_pods() if w.namespace == namespace and matches(selector, w.labels)]


class Workload:
    """Anything that makes pods."""

    def __init__(self, document):
        self.document = document
        self.kind = document["kind"]
        self.name = document["metadata"]["name"]
        self.namespace = namespace_of(document)
        template = document
        if self.kind == "CronJob":
            template = document["spec"]["jobTemplate"]["spec"]["template"]
        elif self.kind != "Pod":
            template = document["spec"]["template"]
        self.labels = dict(template.get("metadata", {}).get("labels", {}))
        self.spec = template["spec"]

    def __str__(self):
        return f"{self.kind} {self.name}"

    def containers(self):
        return self.spec.get("initContainers", []) + self.spec["containers"]

    def ports(self):
        """Every container port, by number and, if it has one, by name."""
        known = {}
        for container in self.spec["containers"]:
            for port in container.get("ports", []):
                known[port["containerPort"]] = port["containerPort"]
                if "name" in port:
                    known[port["name"]] = port["containerPort"]
        return known

    def selected_by(self, selector):
        """Labels that a controller adds to one pod of many, or while it lives, are taken as given."""
        given = {key: value for key, value in selector.items() if key not in ("statefulset.kubernetes.io/pod-name", "role")}
        pod = selector.get("statefulset.kubernetes.io/pod-name")
        return matches({"matchLabels": given}, self.labels) and (pod is None or pod.rsplit("-", 1)[0] == self.name)


def namespace_of(document):
    return document["metadata"].get("namespace", "default")


def title(document):
    return f'{document["kind"]} {document["metadata"]["name"]}'


def matches(selector, labels):
    """A LabelSelector, whole; an empty one matches everything."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or []:
        key, values = expression["key"], expression.get("values", [])
        fits = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[expression["operator"]]
        if not fits:
            return False
    return True
