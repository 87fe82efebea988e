#!/usr/bin/env python3
"""Every metric and label that rules, dashboards and the adapter name exists: in metrics.json, which a test compares with what
the running services export, among the recorded ones, or in the short list of other exporters. Every alert has a runbook."""
import glob
import json
import os
import re
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ELSEWHERE = {
    "up": {"service"},
    "kube_pod_container_status_restarts_total": {"pod", "container"},
    "kube_job_status_failed": {"job_name"},
    "kube_horizontalpodautoscaler_status_current_replicas": {"horizontalpodautoscaler"},
    "kube_horizontalpodautoscaler_spec_max_replicas": {"horizontalpodautoscaler"},
    "certmanager_certificate_expiration_timestamp_seconds": {"name"},
}
# Of discovery, of every series.
ALWAYS = {"namespace", "pod", "service", "le"}
WORDS = set("""sum min max count by without rate increase histogram_quantile sum_over_time absent topk vector and or unless bool
on ignoring time offset""".split())


def own_metrics():
    known = {}
    for metric in json.load(open(f"{HERE}/metrics.json")):
        ends = ["_bucket", "_sum", "_count"] if metric["type"] == "histogram" else [""]
        known |= {metric["name"] + end: set(metric["labels"]) for end in ends}
    return known


def grouped(expr):
    return [set(filter(None, re.split(r"[,\s]+", labels))) for labels in re.findall(r"\b(?:by|without|on)\s*\(([^)]*)\)", expr)]


def named(expr):
    """Metrics with the labels that are asked of each."""
    bare = re.sub(r"\b(?:by|without|on)\s*\([^)]*\)", "", expr)
    found = re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\})?", re.sub(r"\[[^\]]*\]", "", bare))
    for name, selector in found:
        if name in WORDS or re.fullmatch(r"e\d+|[smhd]", name):
            continue
        yield name, set(re.findall(r"([a-zA-Z_]+)\s*(?:=~|!~|!=|=)\s*\"", selector or ""))


def strip_texts(expr):
    return re.sub(r'"[^"]*"', '""', expr)


def main():
    mistakes = []
    rules = [rule for file in sorted(glob.glob(f"{HERE}/rules/*.yaml"))
             for group in yaml.safe_load(open(file))["groups"] for rule in group["rules"]]
    known = own_metrics() | ELSEWHERE
    # A recorded series keeps the labels it is grouped by.
    for rule in rules:
        if "record" in rule:
            known[rule["record"]] = set().union(*grouped(rule["expr"]), {"exchange", "outcome", "stage"})
    asked = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules]
    for file in sorted(glob.glob(f"{HERE}/dashboards/*.json")):
        board = json.load(open(file))
        asked += [(f"{board['uid']}: {panel['title']}", target["expr"]) for panel in board["panels"] for target in panel["targets"]]
    for rule in yaml.safe_load(open(f"{HERE}/adapter.yaml"))["rules"]:
        asked.append(("adapter", re.sub(r"<<\.GroupBy>>", "pod", re.sub(r"<<\.LabelMatchers>>", "", rule["metricsQuery"]))))
    for where, expr in asked:
        expr = strip_texts(expr)
        metrics = list(named(expr))
        for name, labels in metrics:
            if name not in known:
                mistakes.append(f"{where}: nobody exports {name}")
            elif wrong := labels - known[name] - ALWAYS:
                mistakes.append(f"{where}: {name} has no label {sorted(wrong)}")
        every = set().union(ALWAYS, *(known.get(name, set()) for name, _ in metrics))
        for labels in grouped(expr):
            if wrong := labels - every:
                mistakes.append(f"{where}: grouped by {sorted(wrong)}, which nobody has")
    mistakes += [f"{rule['alert']}: nobody is told of severity {rule['labels'].get('severity')}" for rule in rules
                 if "alert" in rule and rule["labels"].get("severity") not in ("critical", "warning")]
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    sections = set(re.findall(r"^## (\w+)$", open(f"{HERE}/runbooks.md").read(), re.M))
    mistakes += [f"{name}: no runbook" for name in sorted(alerts - sections)]
    mistakes += [f"{name}: a runbook of no alert" for name in sorted(sections - alerts)]
    # Whatever looks like a metric in a runbook is one.
    runbooks = open(f"{HERE}/runbooks.md").read()
    looks = re.findall(r"(?<![:\w])[a-z]+(?:_[a-z0-9]+)*_(?:total|seconds|nanos|records|campaigns|info|up|flight)\b(?!:)", runbooks)
    mistakes += [f"runbooks: nobody exports {name}" for name in sorted(set(looks) - set(known))]
    if mistakes:
        sys.exit("\n".join(mistakes))
    print(f"{len(asked)} expressions, {len(alerts)} alerts")


if __name__ == "__main__":
    main()
