#!/usr/bin/env python3
"""Every metric, label and value of a label that rules, dashboards, runbooks, the adapter and the tests of the rules name exists: in
metrics.json, which a test compares with what the running services export, among the recorded series, or in the short list of other
exporters. Every alert has a runbook, and Alertmanager names none that is not there."""
import glob
import json
import os
import re
import sys

import yaml

import rule_tests

HERE = os.path.dirname(os.path.abspath(__file__))
ELSEWHERE = {
    "up": {"job"},
    "kube_pod_container_status_restarts_total": {"container"},
    "kube_pod_container_status_waiting_reason": {"container", "reason"},
    "kube_job_status_failed": {"job_name"},
    "kube_pod_status_ready": {"condition"},
    "kube_horizontalpodautoscaler_status_current_replicas": {"horizontalpodautoscaler"},
    "kube_horizontalpodautoscaler_spec_max_replicas": {"horizontalpodautoscaler"},
    "certmanager_certificate_expiration_timestamp_seconds": {"name"},
    "ALERTS": {"alertname", "alertstate", "windows"},
}
# Of discovery, of every series that is scraped.
SCRAPED = {"namespace", "pod", "service"}
# What labels may say, as the code has it; of the others anything goes.
TOPICS = """campaigns exchanges deals ledger_checkpoints bids wins losses impressions clicks conversions spend diagnosis status""".split()
VALUES = {
    "service": ["campaign-service", "bidding-service", "analytics-service"],
    "outcome": ["bid", "no_bid", "late", "shed", "malformed"],
    "backend": ["postgresql", "redis_ledger", "redis_users", "kafka"],
    "stage": ["parse", "gather", "decide", "answer"],
    "topic": TOPICS,
    "kind": ["win", "billing", "loss", "impression", "click", "video", "conversion", "sync"],
    "status": [str(status) for status in range(100, 600)],
    "namespace": ["ad-platform"],
    "severity": ["critical", "warning"],
    "alertstate": ["pending", "firing"],
}
# Of one metric.
VALUES_OF = {
    ("index_left_out_records", "reason"): ["not_understood", "unreadable"],
    ("trace_spans_dropped_total", "reason"): ["queue_full", "not_taken"],
    ("kube_pod_container_status_waiting_reason", "reason"): ["CrashLoopBackOff"],
    ("kube_pod_status_ready", "condition"): ["true", "false", "unknown"],
    ("events_dropped_total", "topic"): ["bids", "clicks", "user_counters", "prices"],
}
WORDS = set("""sum min max count by without rate increase histogram_quantile sum_over_time max_over_time count_over_time absent
label_replace topk vector and or unless bool on ignoring group_left time offset""".split())
COMMAND = re.compile(r"(kubectl|curl|k8s/\S+\.sh|pipeline/\S+\.sh) ")


def own_metrics():
    known = {}
    for metric in json.load(open(f"{HERE}/metrics.json")):
        ends = {"_bucket": {"le"}, "_sum": set(), "_count": set()} if metric["type"] == "histogram" else {"": set()}
        known |= {metric["name"] + end: set(metric["labels"]) | more for end, more in ends.items()}
    return known


def labels_of(rule, known):
    """A recorded series has the labels that it is grouped by, or those of the recorded ones it is made of."""
    expr = strip_texts(rule["expr"])
    groups = grouped(expr)
    return (set().union(*groups) if groups else set().union(*(known.get(name, set()) for name, _ in named(expr)))) - {"le"}


def all_known(rules):
    known = {name: labels | SCRAPED for name, labels in (own_metrics() | ELSEWHERE).items()}
    for rule in rules:
        if "record" in rule:
            known[rule["record"]] = labels_of(rule, known)
    return known


def grouped(expr):
    return [set(filter(None, re.split(r"[,\s]+", labels)))
            for labels in re.findall(r"\b(?:by|without|on|ignoring|group_left)\s*\(([^)]*)\)", expr)]


def named(expr):
    """Metrics with what is asked of the labels of each: name, kind of comparison, value."""
    bare = re.sub(r"\b(?:by|without|on|ignoring|group_left)\s*\([^)]*\)", "", expr)
    bare = re.sub(r"\[\w+\]", "", bare)
    for name, selector in re.findall(r"""([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{(?:[^}"]|"[^"]*")*\})?""", outside_texts(bare)):
        if name in WORDS or re.fullmatch(r"e\d+|[smhd]", name):
            continue
        yield name, re.findall(r"""([a-zA-Z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)\"""", selector)


def outside_texts(expr):
    """Texts are left where they are values of a selector, and empty elsewhere."""
    return re.sub(r"""(\{(?:[^}"]|"[^"]*")*\})|"[^"]*\"""", lambda found: found[1] or '""', expr)


def strip_texts(expr):
    return re.sub(r'"[^"]*"', '""', expr)


def reasons():
    """Of bid_no_bid_reasons_total: the table, and the two of whole requests."""
    return ["insufficient_time", "qps_limit", *re.findall(r"^\| `(\w+)` \|", open(f"{HERE}/reasons.md").read(), re.M)]


def nobody_says(metric, label, how, value):
    """Alternatives that match no value which the label may have."""
    may = reasons() if (metric, label) == ("bid_no_bid_reasons_total", "reason") else VALUES_OF.get((metric, label), VALUES.get(label))
    if may is None or "$" in value or value == "":
        return []
    wanted = value.split("|") if "~" in how else [re.escape(value)]
    return [one for one in wanted if not any(re.fullmatch(one, word) for word in may)]


def mistakes_of(where, expr, known):
    metrics = list(named(expr))
    for name, asked in metrics:
        if name not in known:
            yield f"{where}: nobody exports {name}"
            continue
        for label, how, value in asked:
            if label not in known[name]:
                yield f"{where}: {name} has no label {label}"
            elif wrong := nobody_says(name, label, how, value):
                yield f"{where}: no {label} of {name} is {wrong}"
    every = set().union(*(known.get(name, set()) for name, _ in metrics))
    for labels in grouped(expr):
        if wrong := labels - every:
            yield f"{where}: grouped by {sorted(wrong)}, which nobody has"


def runbook_queries(known):
    """Whatever is quoted in the runbooks and names a metric, or looks like a query: section and query."""
    for section in re.split(r"(?m)^## ", open(f"{HERE}/runbooks.md").read())[1:]:
        for quoted in re.findall(r"`([^`]+)`", section):
            expr = " ".join(quoted.split())
            if not COMMAND.match(expr) and (set(re.findall(r"[\w:]+", strip_texts(expr))) & set(known) or re.search(r"\w ?\(.*\)", expr)):
                yield section.split("\n", 1)[0], expr


def all_rules():
    return [rule for file in sorted(glob.glob(f"{HERE}/rules/*.yaml"))
            for group in yaml.safe_load(open(file))["groups"] for rule in group["rules"]]


def of_alertmanager(alerts, labels):
    config = yaml.safe_load(open(f"{HERE}/alertmanager.yaml"))
    matchers = [text for route in config["route"]["routes"] for text in route["matchers"]]
    for rule in config["inhibit_rules"]:
        matchers += rule["source_matchers"] + rule["target_matchers"]
        if wrong := set(rule["equal"]) - labels:
            yield f"alertmanager: no alert has {sorted(wrong)}"
    for text in matchers:
        label, how, value = re.fullmatch(r'(\w+)(=~|=)"(.*)"', text).groups()
        if label == "alertname":
            wrong = [name for name in value.split("|") if name not in alerts]
        else:
            wrong = nobody_says("", label, how, value)
        if wrong:
            yield f"alertmanager: no {label} is {wrong}"


def main():
    mistakes = []
    rules = all_rules()
    known = all_known(rules)
    asked = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules]
    for file in sorted(glob.glob(f"{HERE}/dashboards/*.json")):
        board = json.load(open(file))
        asked += [(f"{board['uid']}: {panel['title']}", target["expr"]) for panel in board["panels"] for target in panel["targets"]]
    for rule in yaml.safe_load(open(f"{HERE}/adapter.yaml"))["rules"]:
        asked.append(("adapter", re.sub(r"<<\.GroupBy>>", "pod", re.sub(r"<<\.LabelMatchers>>", "", rule["metricsQuery"]))))
    asked += [(f"runbook of {section}", expr) for section, expr in runbook_queries(known)]
    for (alert, _), cases in rule_tests.TESTS.items():
        asked += [(f"test of {alert}", expr) for case in cases for expr in [*case.series, *case.asked]]
    for where, expr in asked:
        mistakes += mistakes_of(where, expr, known)
    mistakes += [f"{rule['alert']}: nobody is told of severity {rule['labels'].get('severity')}" for rule in rules
                 if "alert" in rule and rule["labels"].get("severity") not in VALUES["severity"]]
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    mistakes += of_alertmanager(alerts, set().union({"alertname", "severity"}, *known.values()))
    runbooks = open(f"{HERE}/runbooks.md").read()
    sections = set(re.findall(r"^## (\w+)$", runbooks, re.M))
    mistakes += [f"{name}: no runbook" for name in sorted(alerts - sections)]
    mistakes += [f"{name}: a runbook of no alert" for name in sorted(sections - alerts)]
    # Whatever looks like a metric in a runbook is one.
    looks = re.findall(r"(?<![:\w])[a-z]+(?:_[a-z0-9]+)*_(?:total|seconds|nanos|records|campaigns|info|up|flight)\b(?!:)", runbooks)
    mistakes += [f"runbooks: nobody exports {name}" for name in sorted(set(looks) - set(known))]
    if mistakes:
        sys.exit("\n".join(dict.fromkeys(mistakes)))
    print(f"{len(asked)} expressions, {len(alerts)} alerts")


if __name__ == "__main__":
    main()
