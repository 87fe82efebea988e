#!/usr/bin/env python3
"""promtool unit tests of every alert: a series at which it must fire and one at which it must not.

rule_tests.py FOLDER writes them there, for `promtool test rules`. An alert without a test is a failure.
"""
import glob
import json
import os
import re
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
NS = 'namespace="ad-platform"'
POD = f'{NS},pod="one"'


def counter(per_minute, minutes):
    return f"0+{per_minute}x{minutes}"


def constant(value, minutes):
    return f"{value}x{minutes}"


def traffic(slo, bad_per_mille_of_ten, minutes):
    """A thousand requests a minute, of which some tenths of a per mille are bad."""
    good = {"bid": 'bid_requests_total{%s,exchange="x",outcome="bid"}' % POD,
            "api": 'http_requests_total{%s,service="campaign-service",method="GET",route="/",status="200"}' % POD}[slo]
    bad = {"bid": 'bid_requests_total{%s,exchange="x",outcome="late"}' % POD,
           "api": 'http_requests_total{%s,service="campaign-service",method="GET",route="/",status="503"}' % POD}[slo]
    return {good: counter(10_000 - bad_per_mille_of_ten, minutes), bad: counter(bad_per_mille_of_ten, minutes)}


def up(*services, minutes=10):
    return {f'up{{{POD},service="{name}"}}': constant(1, minutes) for name in services}


ALL = ("campaign-service", "bidding-service", "analytics-service")


def gauge(name, labels, firing, quiet, minutes):
    return ({f"{name}{{{labels}}}": constant(firing, minutes)}, {f"{name}{{{labels}}}": constant(quiet, minutes)}, minutes)


def burst(name, labels, minutes=20):
    """A counter that moves, and one that stands still."""
    return ({f"{name}{{{labels}}}": counter(1, minutes)}, {f"{name}{{{labels}}}": constant(7, minutes)}, minutes)


def burn(slo, bad, minutes):
    return (traffic(slo, bad, minutes), traffic(slo, 5, minutes), minutes)


def latency(bucket_of_all):
    buckets = ["0.02", "0.05", "0.1", "+Inf"]
    reached = buckets.index(bucket_of_all)
    series = {f'bid_request_duration_seconds_bucket{{{POD},le="{le}"}}': counter(600 if at >= reached else 0, 10)
              for at, le in enumerate(buckets)}
    return series | traffic("bid", 0, 10)


def scaler(current, most):
    of = f'{NS},horizontalpodautoscaler="bidding-service"'
    return {f"kube_horizontalpodautoscaler_status_current_replicas{{{of}}}": constant(current, 30),
            f"kube_horizontalpodautoscaler_spec_max_replicas{{{of}}}": constant(most, 30)}


def files(opened):
    return {f"process_open_fds{{{POD}}}": constant(opened, 10), f"process_max_fds{{{POD}}}": constant(1000, 10)}


# Alert (and what tells its rules apart): series that fire, series that do not, and the minute at which it is asked.
TESTS = {
    ("ServiceDown", "none is known"): (up("campaign-service", "analytics-service"), up(*ALL), 5),
    ("ServiceDown", "none is up"): (
        up("campaign-service", "analytics-service") | {f'up{{{POD},service="bidding-service"}}': constant(0, 10)}, up(*ALL), 5),
    ("HighErrorRate", ""): (traffic("api", 600, 15), traffic("api", 400, 15), 15),
    ("HighBidLatency", "by late answers"): (traffic("bid", 150, 10), traffic("bid", 50, 10), 10),
    ("HighBidLatency", "by percentile"): (latency("0.1"), latency("0.02"), 10),
    ("BidHandlerPanics", ""): burst("bid_panics_total", POD),
    ("NoBidTraffic", ""): (
        {f'bid_requests_total{{{POD},exchange="x",outcome="bid"}}': "0+600x30 18000x40"}, traffic("bid", 0, 70), 60),
    ("NoBids", ""): (
        {f'bid_requests_total{{{POD},exchange="x",outcome="bid"}}': constant(0, 40),
         f'bid_requests_total{{{POD},exchange="x",outcome="no_bid"}}': counter(600, 40)}, traffic("bid", 0, 40), 30),
    ("NotReady", ""): gauge("ready", f'{POD},service="bidding-service"', 0, 1, 10),
    ("PodCrashLooping", ""): (
        {f'kube_pod_container_status_restarts_total{{{POD},container="c"}}': "0 1 2 3 4 5 6 7 8 9 10"},
        {f'kube_pod_container_status_restarts_total{{{POD},container="c"}}': "0 0 0 1 1 1 1 1 1 1 1"}, 10),
    ("ReplicaUnseen", ""): gauge("up", f'{POD},service="bidding-service"', 0, 1, 10),
    ("JobFailed", ""): gauge("kube_job_status_failed", f'{NS},job_name="migrations"', 1, 0, 10),
    ("ScalerAtMaximum", ""): (scaler(10, 10), scaler(9, 10), 20),
    ("OpenFilesNearLimit", ""): (files(900), files(700), 10),
    ("LedgerRebuildIncomplete", ""): burst("ledger_rebuild_skipped_records_total", f'{POD},topic="spend"'),
    ("DeliveredBeyondBudget", ""): burst("over_delivery_nanos_total", POD, 40),
    ("StoreUnreachable", ""): gauge("backend_up", f'{POD},service="bidding-service",backend="kafka"', 0, 1, 10),
    ("CertificateExpires", ""): gauge(
        "certmanager_certificate_expiration_timestamp_seconds", f'{NS},name="public"', 86_400 * 10, 86_400 * 30, 90),
    ("OverDelivery", ""): (
        {f"over_delivery_nanos_total{{{POD}}}": counter(2, 90), f"billed_nanos_total{{{POD}}}": counter(100, 90)},
        {f"over_delivery_nanos_total{{{POD}}}": counter(1, 90), f"billed_nanos_total{{{POD}}}": counter(1000, 90)}, 80),
    ("LedgerRefusing", ""): gauge("ledger_refusing", POD, 3, 0, 5),
    ("SpoolInUse", ""): gauge("spool_records", POD, 12, 0, 10),
    ("SpoolRefuses", ""): burst("spool_refused_total", POD),
    ("SpoolSetAside", ""): burst("spool_set_aside_total", POD),
    ("IndexStale", ""): gauge("index_age_seconds", POD, 45, 2, 5),
    ("IndexLeavesRecordsOut", ""): gauge("index_left_out_records", f'{POD},reason="schema"', 1, 0, 20),
    ("OutboxLag", ""): gauge("outbox_lag_seconds", POD, 60, 1, 5),
    ("ReportsBehind", ""): gauge("report_freshness_seconds", POD, 400, 20, 10),
    ("ConsumerStopped", ""): (
        {f'consumer_lag_records{{{POD},topic="bids",partition="0"}}': constant(9, 30),
         f'events_applied_total{{{POD},topic="bids"}}': constant(100, 30)},
        {f'consumer_lag_records{{{POD},topic="bids",partition="0"}}': constant(9, 30),
         f'events_applied_total{{{POD},topic="bids"}}': counter(100, 30)}, 20),
    ("EventsDropped", ""): burst("events_dropped_total", f'{POD},topic="bids"'),
    ("TracesDropped", ""): burst("trace_spans_dropped_total", f'{POD},reason="not_taken"', 40),
    ("EventsSetAside", ""): burst("events_set_aside_total", f'{POD},topic="bids"'),
    ("DatabaseDown", ""): gauge("backend_up", f'{POD},service="campaign-service",backend="postgresql"', 0, 1, 5),
    ("RedisDown", ""): gauge("backend_up", f'{POD},service="bidding-service",backend="redis_ledger"', 0, 1, 5),
    ("KafkaDown", ""): gauge("backend_up", f'{POD},service="bidding-service",backend="kafka"', 0, 1, 5),
}
for slo, name in (("bid", "BidErrorBudgetBurn"), ("api", "ApiErrorBudgetBurn")):
    TESTS |= {
        (name, "5m/1h"): burn(slo, 200, 70),
        (name, "30m/6h"): burn(slo, 70, 7 * 60),
        (name, "2h/1d"): burn(slo, 40, 26 * 60),
        (name, "6h/3d"): burn(slo, 15, 75 * 60),
    }


def case(alert, which, series, minute, fires, told):
    """`told`: labels that the alert's texts name; one that is missing would leave a hole in them."""
    windows = f',windows="{which}"' if "/" in which else ""
    windows += "".join(f',{label}!=""' for label in sorted(told))
    return {
        "name": f"{alert} {which}: {'fires' if fires else 'keeps quiet'}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{
            "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"{windows}}}) > bool 0',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
        }],
    }


# Beyond it rules are evaluated every four minutes, and only those of the objectives: three days by the minute take minutes
# of CPU time. A sample counts for five.
LONG_MINUTES = 300
LONG_RULES = ("recording.yaml", "objectives.yaml")


def minutes(case):
    return int(case["promql_expr_test"][0]["eval_time"].rstrip("m"))


def main():
    files = sorted(glob.glob(f"{HERE}/rules/*.yaml"))
    rules = [rule for file in files for group in yaml.safe_load(open(file))["groups"] for rule in group["rules"]]
    wanted = {(rule["alert"], rule["labels"].get("windows", "")) for rule in rules if "alert" in rule}
    tested = {(alert, which if "/" in which else "") for alert, which in TESTS}
    if wanted != tested:
        sys.exit(f"alerts and tests differ: {sorted(wanted ^ tested)}")
    told = {rule["alert"]: set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) for rule in rules if "alert" in rule}
    cases = []
    for (alert, which), (firing, quiet, minute) in TESTS.items():
        cases += [case(alert, which, firing, minute, True, told[alert]), case(alert, which, quiet, minute, False, set())]
    of_long = [file for file in files if file.endswith(LONG_RULES)]
    for name, interval, of, part in (
        ("short", "1m", files, [case for case in cases if minutes(case) <= LONG_MINUTES]),
        ("long", "4m", of_long, [case for case in cases if minutes(case) > LONG_MINUTES]),
    ):
        with open(f"{sys.argv[1]}/{name}.json", "w") as out:
            json.dump({"rule_files": of, "evaluation_interval": interval, "tests": part}, out)
    print(f"{len(wanted)} alerts, {len(cases)} cases")


if __name__ == "__main__":
    main()
