#!/usr/bin/env python3
"""A pod as a Deployment or a Job would make it, but for some settings.

    kubectl get deployment NAME -o json | variant.py POD [SETTING=VALUE | SETTING=secret:NAME/KEY]... [--args WORD...]

The pod of a Deployment has no label that a Service selects. That of a Job has its labels, and is not tried again; WORDs are of its first step.
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
labels = {"try": name}
if made["kind"] == "Job":
    labels["app"] = made["spec"]["template"]["metadata"]["labels"]["app"]
    spec["restartPolicy"] = "Never"
steps = spec.get("initContainers", []) + spec["containers"]
for step in steps:
    step["env"] = [one for one in step["env"] if one["name"] not in settings]
    step["env"] += [setting(key, value) for key, value in settings.items()]
if words:
    steps[0]["args"] = words
json.dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}, sys.stdout)
