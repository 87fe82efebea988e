#!/usr/bin/env python3
"""A pod as a Deployment or a Job would make it, but for some settings.

    kubectl get deployment NAME -o json | variant.py POD [SETTING=VALUE | SETTING=secret:NAME/KEY]... [--args WORD...]

The pod has no label that a Service selects. Of a Job it runs the first step alone, once.
"""
import json
import sys

name, *rest = sys.argv[1:]
words = rest[rest.index("--args") + 1:] if "--args" in rest else None
settings = dict(word.split("=", 1) for word in (rest[:rest.index("--args")] if words else rest))


def setting(key, value):
    if value.startswith("secret:"):
        secret, field = value.removeprefix("secret:").split("/")
        return {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": field}}}
    return {"name": key, "value": value}


made = json.load(sys.stdin)
spec = made["spec"]["template"]["spec"]
if made["kind"] == "Job":
    spec["containers"] = spec.pop("initContainers")[:1]
    spec["restartPolicy"] = "Never"
container = spec["containers"][0]
container["env"] = [one for one in container["env"] if one["name"] not in settings]
container["env"] += [setting(key, value) for key, value in settings.items()]
if words:
    container["args"] = words
json.dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"try": name}}, "spec": spec}, sys.stdout)
