"""Compares what the charts render with what kustomize builds, object by object, and names every difference.

    agree.py staging|production      helm and kubectl in PATH; exit 1 when they differ

A setting counts by the value that the process sees, wherever it comes from: a ConfigMap's key, a literal, or a file in a volume.
What may differ is listed in HELMS_OWN.
"""

import pathlib
import subprocess
import sys
import tomllib

import yaml

HERE = pathlib.Path(__file__).resolve().parent
SERVICES = ("campaign-service", "bidding-service", "analytics-service")
NAMESPACE = "ad-platform"
KUBERNETES = "1.36.0"
# Labels and annotations that tell who installed an object; nothing selects by them.
HELMS_OWN = {"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "helm.sh/chart", "checksum/config"}
# Lists whose order means nothing, and what their items are told apart by.
UNORDERED = {"env": "name", "ports": "name", "volumes": "name", "volumeMounts": "mountPath", "sources": "secret.name"}
KINDS = ("Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "HorizontalPodAutoscaler")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return [document for document in yaml.load_all(done.stdout, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if document]


def by_helm(environment, extra=()):
    """All objects of the three charts, but for the hooks of `helm test`."""
    found = []
    for service in SERVICES:
        values = [HERE / f"values-{environment}.yaml", HERE / service / f"values-{environment}.yaml"]
        flags = [flag for file in values for flag in ("--values", str(file))]
        found += run("helm", "template", service, str(HERE / service), "--namespace", NAMESPACE, "--kube-version", KUBERNETES,
                     "--no-hooks", *flags, *extra)
    return found


def by_kustomize(environment):
    return run("kubectl", "kustomize", str(HERE.parent / "overlays" / environment))


def keyed(objects):
    return {(o["kind"], o["metadata"]["name"]): o for o in objects if o["metadata"].get("namespace") == NAMESPACE}


def value_of(variable, objects):
    """What a variable holds: a text, or which key of which secret."""
    source = variable.get("valueFrom", {})
    if "configMapKeyRef" in source:
        reference = source["configMapKeyRef"]
        values = objects.get(("ConfigMap", reference["name"]), {}).get("data", {})
        return values.get(reference["key"], f"nothing: no key {reference['key']} in ConfigMap {reference['name']}")
    return source or str(variable.get("value", ""))


def files_of(volume, objects):
    """A ConfigMap that is mounted, as its content: a TOML file by what it says, not by its comments."""
    if "configMap" not in volume:
        return volume
    data = objects.get(("ConfigMap", volume["configMap"]["name"]), {}).get("data", {"nothing": "no such ConfigMap"})
    return {"name": volume["name"], "files": {name: tomllib.loads(text) if name.endswith(".toml") else text
                                              for name, text in data.items()}}


def resolved(document, objects):
    """The object with every reference to a setting replaced by the setting."""
    if document["kind"] != "Deployment":
        return document
    pod = document["spec"]["template"]["spec"]
    for container in pod["containers"]:
        container["env"] = [{"name": v["name"], "value": value_of(v, objects)} for v in container.get("env", [])]
    pod["volumes"] = [files_of(volume, objects) for volume in pod.get("volumes", [])]
    return document


def identity(item, path):
    for part in path.split("."):
        item = item.get(part, {}) if isinstance(item, dict) else {}
    return str(item)


def flat(value, where=""):
    """Every leaf by its path; items of unordered lists by their name, so that a difference is named and not numbered."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if key not in HELMS_OWN:
                yield from flat(inner, f"{where}.{key}")
    elif isinstance(value, list) and value:
        field = UNORDERED.get(where.rsplit(".", 1)[-1])
        for number, inner in enumerate(value):
            yield from flat(inner, f"{where}[{identity(inner, field) if field else number}]")
    else:
        yield where, value


def leaves(objects):
    """Of the kinds that a chart owns, for the three services."""
    index, found = keyed(objects), {}
    for (kind, name), document in index.items():
        if kind in KINDS and name.removesuffix("-hpa") in SERVICES:
            whole = resolved(document, index)
            body = {k: v for k, v in whole.items() if k != "metadata"}
            found.update((f"{kind} {name}{where}", value) for where, value in flat(body))
            # Only a Deployment's and a Service's own labels are anybody's to select by.
            if kind in ("Deployment", "Service"):
                found.update((f"{kind} {name}{where}", value) for where, value in flat(whole["metadata"]["labels"], ".labels"))
    return found


def differences(helm, kustomize):
    ours, theirs = leaves(helm), leaves(kustomize)
    if not theirs:
        yield "kustomize builds none of the three services"
    for where in sorted(ours.keys() | theirs.keys()):
        left, right = ours.get(where, "nothing"), theirs.get(where, "nothing")
        if left != right:
            yield f"{where}: helm has {left!r}, kustomize {right!r}"


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in ("staging", "production"):
        sys.exit(__doc__)
    helm, kustomize = by_helm(sys.argv[1], sys.argv[2:]), by_kustomize(sys.argv[1])
    found = list(differences(helm, kustomize))
    print("\n".join(found) or f"ok: {len(leaves(helm))} values agree in {sys.argv[1]}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
