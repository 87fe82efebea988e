#!/usr/bin/env python3
"""Rules, alerts, routes and dashboards on a real Prometheus and Alertmanager, over the running services.

live.py FOLDER: the folder has the programs campaign-service, bidding-service, analytics-service and adplatform.

Asks that every replica is scraped once, every recording rule yields data, the autoscalers' metrics are one series a pod,
and every query of a panel or a runbook is answered with data, but for those in a list. Then four faults: late bids, answers of 5xx, a
consumer that is killed, and a crash loop (recorded: there is no cluster here). The alert of each must go pending, fire, reach whom it should,
and resolve. Then alerts that are posted to Alertmanager: what each rule silences, what none does, and what is told together.
"""
import os
import sys
import tempfile
import threading
import time

import yaml

import names
from stage import FASTER, HERE, PODS, Stage, panels, wait, windows_faster
from traffic import Traffic, campaigns

# On a slow machine a bid may be late; over the long windows one is enough.
TOLERATED = {"HighBidLatency", "BidErrorBudgetBurn"}
# Queries of panels, by title and legend, that nothing answers here, and what they need.
MAY_BE_EMPTY = {
    ("Stores that answer", "{{service}} {{backend}}"): "a backend",
}
# Queries of runbooks, likewise.
EMPTY_IN_RUNBOOKS = {
    'sum by (service, route, status) (rate(http_requests_total{status=~"5.."}[5m]))': "an error",
    "backend_up": "a backend",
}
# Alert, service where there are several, and who is told.
EXPECTED = [
    ("HighBidLatency", None, "/tickets"),
    ("HighErrorRate", "campaign-service", "/pager"),
    ("ServiceDown", "analytics-service", "/pager"),
    ("PodCrashLooping", None, "/pager"),
]


def scraped_once(stage):
    def once():
        up = stage.query('up{job="adplatform"} == 1') or []
        seen = sorted((one["metric"]["namespace"], one["metric"]["pod"], one["metric"]["service"]) for one in up)
        return seen == sorted(("ad-platform", pod, service) for pod, service in PODS.items())

    wait("every replica is scraped once, under its namespace, pod and service", once)


def recorded(stage):
    for file in sorted(os.listdir(f"{HERE}/rules")):
        for group in yaml.safe_load(open(f"{HERE}/rules/{file}"))["groups"]:
            for rule in group["rules"]:
                if name := rule.get("record"):
                    wait(f"{name} has data", lambda name=name: stage.query(name))


def autoscaling(stage):
    for rule in yaml.safe_load(open(f"{HERE}/adapter.yaml"))["rules"]:
        expr = rule["metricsQuery"].replace("<<.GroupBy>>", "namespace, pod")
        expr = windows_faster(expr.replace("<<.LabelMatchers>>", 'namespace="ad-platform",service="%s"' % service_of(rule)))
        pods = sorted(pod for pod, service in PODS.items() if service == service_of(rule))
        seen = lambda expr=expr: sorted(one["metric"].get("pod") for one in stage.query(expr) or [])
        wait(f"{rule['name']['as']} is one series a pod", lambda seen=seen, pods=pods: seen() == pods)


def service_of(rule):
    return "bidding-service" if rule["name"]["as"].startswith("bid") else "campaign-service"


def asked(stage, what, expr, may_be_empty):
    if stage.query(expr) is None:
        sys.exit(f"FAILED: {what}: {expr} is refused")
    if not may_be_empty:
        wait(f"{what} has data", lambda: stage.query(expr))


def answered(stage):
    listed = set(MAY_BE_EMPTY)
    for board, panel, exprs in panels():
        for target, expr in zip(panel["targets"], exprs):
            key = (panel["title"], target["legendFormat"])
            asked(stage, f"{board['title']} / {' / '.join(key)}", expr, key in MAY_BE_EMPTY)
            listed.discard(key)
    if listed:
        sys.exit(f"FAILED: no panel has these: {listed}")


def runbooks(stage):
    """What they say to ask of Prometheus."""
    listed = set(EMPTY_IN_RUNBOOKS)
    for section, expr in names.runbook_queries(names.all_known(names.all_rules())):
        asked(stage, f"runbook of {section}: {expr}", windows_faster(expr), expr in EMPTY_IN_RUNBOOKS)
        listed.discard(expr)
    if listed:
        sys.exit(f"FAILED: no runbook has these: {listed}")


def firing(stage):
    return {one["metric"]["alertname"] for one in stage.query('ALERTS{alertstate="firing"}') or []}


def selector(alert, service, state):
    of_service = f',service="{service}"' if service else ""
    return f'ALERTS{{alertname="{alert}"{of_service},alertstate="{state}"}}'


def seen_through(stage, traffic):
    wait("no alert while all is well", lambda: firing(stage) <= TOLERATED)
    wait("bids are in time", lambda: not stage.query('ALERTS{alertname="HighBidLatency"}'))
    # Of what comes back before that, Alertmanager would not tell again.
    wait("whoever was told of an alert was told that it is over", lambda: not untold_ends(stage))
    began, already_told = time.time(), len(stage.told)
    traffic.slow.set()
    # What is forwarded to it is now answered 503 by campaign-service.
    stage.kill("analytics-1")
    mended, waited_longest = threading.Event(), threading.Event()
    threading.Thread(target=crash_loop, args=(stage, mended, waited_longest), daemon=True).start()
    for alert, service, receiver in EXPECTED:
        pending = lambda: f'count_over_time({selector(alert, service, "pending")}[{int(time.time() - began) + 1}s])'
        wait(f"{alert} was pending", lambda: stage.query(pending()))
        wait(f"{alert} fires", lambda: stage.query(selector(alert, service, "firing")))
        wait(f"{receiver} is told of {alert}", lambda: (receiver, alert, service, "firing") in told(stage, already_told, service))
    crash_loop_fired = time.time()
    wait("ReplicaUnseen is silenced by ServiceDown", lambda: states(stage, "ReplicaUnseen") == {"suppressed"})
    wait("HighErrorRate of campaign-service is not", lambda: states(stage, "HighErrorRate") == {"active"})
    wait("the crash loop has waited five minutes", waited_longest.is_set)
    wait("PodCrashLooping was on all the time", lambda: was_on(stage, selector("PodCrashLooping", None, "firing"), crash_loop_fired))
    if any(alert == "ReplicaUnseen" for _, alert, _, _ in stage.told[already_told:]):
        sys.exit("FAILED: somebody was told of ReplicaUnseen")
    traffic.slow.clear()
    mended.set()
    stage.service("analytics-1")
    for alert, service, receiver in EXPECTED:
        over = lambda: all(stage.query(selector(alert, service, state)) == [] for state in ("pending", "firing"))
        wait(f"{alert} is over", over)
        wait(f"{receiver} is told that {alert} is over",
             lambda: (receiver, alert, service, "resolved") in told(stage, already_told, service))


def told(stage, since, service):
    return [(path, alert, of if service else None, status) for path, alert, of, status in stage.told[since:]]


def untold_ends(stage):
    last = {(path, alert, of): status for path, alert, of, status in stage.told}
    expected = {alert for alert, _, _ in EXPECTED}
    return [alert for (_, alert, _), status in last.items() if alert in expected and status != "resolved"]


def states(stage, alert):
    return {one["status"]["state"] for one in stage.alerts() if one["labels"]["alertname"] == alert}


def was_on(stage, expr, since):
    """From then until a moment ago, without a gap."""
    step, until = 0.25, time.time() - 1
    series = stage.query(expr, start=since, end=until, step=step)
    return series and len(series) == 1 and len(series[0]["values"]) == int((until - since) / step) + 1


def crash_loop(stage, mended, waited_longest):
    """As a kubelet does it with a container that lives a minute."""
    pause_s = 10
    while not mended.wait(60 / FASTER):
        stage.waits = True
        mended.wait(pause_s / FASTER)
        stage.waits, stage.restarts = False, stage.restarts + 1
        if pause_s == 300:
            waited_longest.set()
        pause_s = min(2 * pause_s, 300)


CAMPAIGN, BIDDING, ANALYTICS = ({"service": service} for service in ("campaign-service", "bidding-service", "analytics-service"))
POSTGRESQL, KAFKA, LEDGER, USERS = ({"backend": backend} for backend in ("postgresql", "kafka", "redis_ledger", "redis_users"))
SLOW, FAST = {"severity": "warning", "windows": "6h/3d"}, {"severity": "critical", "windows": "5m/1h"}
# An alert with its labels, and what it silences with theirs.
SILENCES = [
    ("BidErrorBudgetBurn", FAST, "BidErrorBudgetBurn", SLOW),
    ("ApiErrorBudgetBurn", FAST, "ApiErrorBudgetBurn", SLOW),
    ("ServiceDown", ANALYTICS, "NotReady ReplicaUnseen HighErrorRate", ANALYTICS),
    ("ServiceDown", BIDDING, "NoBidTraffic NoBids HighBidLatency BidErrorBudgetBurn", {}),
    ("ServiceDown", CAMPAIGN, "ApiErrorBudgetBurn", FAST),
    ("DatabaseDown", CAMPAIGN | POSTGRESQL, "OutboxLag ApiErrorBudgetBurn", {}),
    ("DatabaseDown", CAMPAIGN | POSTGRESQL, "HighErrorRate", CAMPAIGN),
    ("DatabaseDown", CAMPAIGN | POSTGRESQL, "StoreUnreachable", CAMPAIGN | POSTGRESQL),
    ("DatabaseDown", ANALYTICS | POSTGRESQL, "ReportsBehind ConsumerStopped", {}),
    ("KafkaDown", CAMPAIGN | KAFKA, "OutboxLag", {}),
    ("KafkaDown", ANALYTICS | KAFKA, "ReportsBehind ConsumerStopped ConsumerWithoutPartitions", {}),
    ("KafkaDown", BIDDING | KAFKA, "IndexStale EventsDropped", {}),
    ("KafkaDown", BIDDING | KAFKA, "StoreUnreachable", BIDDING | KAFKA),
    ("RedisDown", LEDGER, "LedgerRefusing NoBids SpoolInUse", {}),
    ("RedisDown", USERS, "StoreUnreachable", BIDDING | USERS),
    ("OverDelivery", {"currency": "EUR"}, "DeliveredBeyondBudget", {"currency": "EUR"}),
    # Of a version that tells no currency.
    ("OverDelivery", {}, "DeliveredBeyondBudget", {}),
]
LEAVES = [
    ("ServiceDown", ANALYTICS, "HighErrorRate", CAMPAIGN),
    ("ServiceDown", CAMPAIGN, "NoBids HighBidLatency BidErrorBudgetBurn", {}),
    ("DatabaseDown", CAMPAIGN | POSTGRESQL, "IndexStale EventsDropped NoBids BidErrorBudgetBurn", {}),
    ("DatabaseDown", CAMPAIGN | POSTGRESQL, "HighErrorRate", BIDDING),
    ("DatabaseDown", CAMPAIGN | POSTGRESQL, "StoreUnreachable", CAMPAIGN | KAFKA),
    ("DatabaseDown", ANALYTICS | POSTGRESQL, "OutboxLag", {}),
    ("KafkaDown", CAMPAIGN | KAFKA, "IndexStale EventsDropped ReportsBehind ConsumerWithoutPartitions", {}),
    ("KafkaDown", CAMPAIGN | KAFKA, "StoreUnreachable", BIDDING | KAFKA),
    ("KafkaDown", BIDDING | KAFKA, "SpoolInUse OutboxLag", {}),
    ("RedisDown", USERS, "LedgerRefusing NoBids SpoolInUse", {}),
    ("RedisDown", USERS, "StoreUnreachable", BIDDING | LEDGER),
    ("OverDelivery", {"currency": "EUR"}, "DeliveredBeyondBudget", {"currency": "JPY"}),
]


def every_rule_is_tried(config):
    """Each of its pairs of a source and a target is in SILENCES."""
    tried = {(source, target) for source, _, targets, _ in SILENCES for target in targets.split()}
    named = lambda matchers: next(text.split('"')[1] for text in matchers if text.startswith("alertname=")).split("|")
    meant = {(source, target) for rule in config["inhibit_rules"] if "alertname" not in rule["equal"]
             for source in named(rule["source_matchers"]) for target in named(rule["target_matchers"])}
    if wrong := {(source, target) for source, target in tried if source != target} ^ meant:
        sys.exit(f"FAILED: Alertmanager's rules and what is tried of them differ: {sorted(wrong)}")


def silenced(stage):
    """Each pair in a namespace of its own; the target beside it in another one, which nothing silences."""
    every_rule_is_tried(yaml.safe_load(open(f"{HERE}/alertmanager.yaml")))
    severity = {rule["alert"]: rule["labels"]["severity"] for rule in names.all_rules() if "alert" in rule}
    labels = lambda alert, namespace, more: {"alertname": alert, "namespace": namespace, "severity": severity[alert]} | more
    sources, targets, expected = [], [], {}
    for at, (source, of_source, by, of_target) in enumerate(SILENCES + LEAVES):
        sources.append(labels(source, f"try-{at}", of_source))
        for target in by.split():
            targets += [labels(target, f"{place}-{at}", of_target) for place in ("try", "beside")]
            expected |= {(target, f"try-{at}"): "suppressed" if at < len(SILENCES) else "active", (target, f"beside-{at}"): "active"}
    stage.alert(*sources)
    wait("Alertmanager knows what silences", lambda: len([one for one in stage.alerts() if one["labels"] in sources]) == len(sources))
    stage.alert(*targets)
    seen = lambda: {(one["labels"]["alertname"], one["labels"]["namespace"]): one["status"]["state"]
                    for one in stage.alerts() if one["labels"] in targets}
    try:
        wait(f"{list(expected.values()).count('suppressed')} alerts are silenced, {list(expected.values()).count('active')} are not",
             lambda: seen() == expected)
    except SystemExit:
        print("wrong:", *sorted(set(seen().items()) ^ set(expected.items())), sep="\n")
        raise
    told_of = lambda: {(one["alertname"], one["namespace"]) for alerts in stage.notifications for one in alerts if one in targets}
    wait("somebody is told of each that is not, of the others nobody",
         lambda: told_of() == {key for key, state in expected.items() if state == "active"})


def grouped(stage):
    """Of one name and namespace: one message."""
    both = [{"alertname": "NotReady", "severity": "warning", "namespace": "together", "pod": pod} for pod in ("one", "two")]
    apart = both[0] | {"namespace": "apart"}
    stage.alert(*both, apart)
    groups = lambda: sorted(sorted(one["labels"]["pod"] for one in group["alerts"]) for group in stage.alerts("/groups")
                            if group["labels"].get("namespace") in ("together", "apart"))
    wait("two alerts of a name and namespace are a group, another namespace's is not in it", lambda: groups() == [["one"], ["one", "two"]])
    about = lambda: [alerts for alerts in stage.notifications if any(one in [*both, apart] for one in alerts)]
    wait("and come in one message", lambda: len(about()) == 2 and sorted(len(alerts) for alerts in about()) == [1, 2])


def main():
    with tempfile.TemporaryDirectory() as work:
        stage = Stage(sys.argv[1], work)
        traffic = Traffic(stage)
        try:
            stage.start_services()
            campaigns(stage)
            traffic.begin()
            stage.start_alertmanager()
            stage.start_prometheus()
            scraped_once(stage)
            recorded(stage)
            autoscaling(stage)
            answered(stage)
            runbooks(stage)
            seen_through(stage, traffic)
            silenced(stage)
            grouped(stage)
        except BaseException:
            for expr in ("up", "ALERTS"):
                print(f"== {expr}", *(f"{one['metric']} {one['value'][1]}" for one in stage.query(expr) or []), sep="\n")
            for name, text in stage.logs():
                print(f"== {name}\n{text[-1500:]}")
            raise
        finally:
            traffic.ended.set()
            stage.stop()


if __name__ == "__main__":
    main()
