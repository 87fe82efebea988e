#!/usr/bin/env python3
"""promtool unit tests of every alert: series at which it must fire and series at which it must not.

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


def traffic(slo, *stretches):
    """10,000 requests a minute, of which so many are bad for so many minutes, and so on."""
    good_one, bad_one = {
        "bid": [f'bid_requests_total{{{POD},exchange="x",outcome="{outcome}"}}' for outcome in ("bid", "late")],
        "api": [f'http_requests_total{{{POD},service="campaign-service",method="GET",route="/",status="{status}"}}' for status in (200, 503)],
    }[slo]
    good, bad, so_good, so_bad = [], [], 0, 0
    for per_minute, minutes in stretches:
        good.append(f"{so_good}+{10_000 - per_minute}x{minutes}")
        bad.append(f"{so_bad}+{per_minute}x{minutes}")
        # The next stretch begins a minute after this one's last sample.
        so_good, so_bad = (so + step * (minutes + 1) for so, step in ((so_good, 10_000 - per_minute), (so_bad, per_minute)))
    return {good_one: " ".join(good), bad_one: " ".join(bad)}


def answers(service, ok, *errors):
    """So many answers a minute: of 200, and of each 5xx."""
    of = f'{POD},service="{service}",method="GET",route="/"'
    return {f'http_requests_total{{{of},status="{status}"}}': counter(per_minute, 15)
            for status, per_minute in ((200, ok), *zip((500, 502, 503), errors))}


def up(*services, minutes=10):
    return {f'up{{{POD},service="{name}"}}': constant(1, minutes) for name in services}


ALL = ("campaign-service", "bidding-service", "analytics-service")


class Case:
    """Series, and the minutes at which the alert fires (or does not), of `of` if that is given. `asked`: what else must be true then."""

    def __init__(self, title, fires, series, *minutes, of="", asked=(), interval="1m"):
        self.title, self.fires, self.series, self.minutes = title, fires, series, minutes
        self.of, self.asked, self.interval = of, asked, interval


def both(firing, quiet, minute):
    return [Case("", True, firing, minute), Case("", False, quiet, minute)]


def gauge(name, labels, firing, quiet, minutes):
    return both({f"{name}{{{labels}}}": constant(firing, minutes)}, {f"{name}{{{labels}}}": constant(quiet, minutes)}, minutes)


def burst(name, labels, minutes=20):
    """A counter that moves, and one that stands still."""
    return both({f"{name}{{{labels}}}": counter(1, minutes)}, {f"{name}{{{labels}}}": constant(7, minutes)}, minutes)


def store(backend, service):
    """Down for each replica, or for one of two."""
    def replicas(*is_up):
        return {f'backend_up{{{NS},pod="{pod}",service="{service}",backend="{backend}"}}': constant(value, 10)
                for pod, value in zip(("one", "two"), is_up)}

    return [Case("no replica reaches it", True, replicas(0, 0), 5), Case("one of two replicas does not", False, replicas(0, 1), 10),
            Case("it answers", False, replicas(1, 1), 5)]


def burn(slo, factor, short, long):
    """The pair's factor is in thousandths. One window after the other is a little below it while the other is above."""
    limit = round(factor * 10)
    over = lambda minutes, of=factor: f"namespace:{slo}_errors:ratio_{name(minutes)} > bool {of} * 0.001"
    burst = 3 * limit
    # Of the first two minutes of a burst the rates over five show nothing yet.
    before = round((0.97 * limit * long - burst * (short - 2)) / (long - short + 2))
    return [
        Case("a little more than its factor", True, traffic(slo, (limit + 1, long + 20)), long + 20),
        Case("the short window is a little below it again", False, traffic(slo, (5 * limit, long), (limit - 1, short + 20)),
             long + short + 20, asked=(over(long),)),
        Case("the long window is a little below it yet", False, traffic(slo, (before, long + 20), (burst, short)),
             long + short + 20, asked=(over(short), over(long, 0.8 * factor))),
    ]


def name(minutes):
    return f"{minutes // 1440}d" if minutes % 1440 == 0 else f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


def latency(bucket_of_all):
    buckets = ["0.02", "0.05", "0.1", "+Inf"]
    reached = buckets.index(bucket_of_all)
    series = {f'bid_request_duration_seconds_bucket{{{POD},le="{le}"}}': counter(600 if at >= reached else 0, 10)
              for at, le in enumerate(buckets)}
    return series | traffic("bid", (0, 10))


def of_bids(minutes=10, **bad):
    """10,000 in time a minute, and so many of others."""
    bids = {f'bid_requests_total{{{POD},exchange="x",outcome="{outcome}"}}': counter(per_minute, minutes)
            for outcome, per_minute in ({"bid": 10_000} | bad).items() if outcome != "panics"}
    return bids | {f"bid_panics_total{{{POD}}}": counter(bad.get("panics", 0), minutes)}


def scaler(current, most):
    of = f'{NS},horizontalpodautoscaler="bidding-service"'
    return {f"kube_horizontalpodautoscaler_status_current_replicas{{{of}}}": constant(current, 30),
            f"kube_horizontalpodautoscaler_spec_max_replicas{{{of}}}": constant(most, 30)}


def files(opened):
    return {f"process_open_fds{{{POD}}}": constant(opened, 10), f"process_max_fds{{{POD}}}": constant(1000, 10)}


def crash_loop(lives_s, crashes, minutes):
    """As a kubelet does it: the first restart at once, then after 10 s, 20 s, 40 s ... 300 s. A sample each 15 s; none of the
    waiting while the container runs, as kube-state-metrics tells it."""
    at, runs_from, waits = 0, [0], []
    for crash in range(crashes):
        at += lives_s
        pause = min(10 * 2 ** (crash - 1), 300) if crash else 0
        waits.append((at, at + pause))
        at += pause
        runs_from.append(at)
    samples = range(0, minutes * 60 + 1, 15)
    restarts = [sum(start <= now for start in runs_from) - 1 for now in samples]
    waiting = ["1" if any(start <= now < end for start, end in waits) else "_" for now in samples]
    of = f'{POD},container="c"'
    return {f"kube_pod_container_status_restarts_total{{{of}}}": " ".join(map(str, restarts)),
            f'kube_pod_container_status_waiting_reason{{{of},reason="CrashLoopBackOff"}}': " ".join(waiting)}


def of_cluster(*left_out):
    """What kube-state-metrics and cert-manager tell while all is well."""
    of = {"pods and jobs": f'kube_pod_container_status_restarts_total{{{POD},container="c"}}',
          "autoscalers": f'kube_horizontalpodautoscaler_spec_max_replicas{{{NS},horizontalpodautoscaler="bidding-service"}}',
          "certificates": f'certmanager_certificate_expiration_timestamp_seconds{{{NS},name="public"}}'}
    return {series: constant(1, 30) for what, series in of.items() if what not in left_out}


def money(over, billed, currency=',currency="EUR"'):
    return {f"over_delivery_nanos_total{{{POD}{currency}}}": counter(over, 90), f"billed_nanos_total{{{POD}{currency}}}": counter(billed, 90)}


def topic(name, applied, lag=9, counted="events_applied_total"):
    return {f'consumer_lag_records{{{POD},topic="{name}",partition="0"}}': constant(lag, 30),
            f'{counted}{{{POD},topic="{name}"}}': counter(applied, 30)}


def held(**by_topic):
    """Partitions of each topic that two replicas hold."""
    return {f'consumer_partitions{{{NS},pod="{pod}",topic="{name}"}}': constant(count, 10)
            for name, counts in by_topic.items() for pod, count in zip(("one", "two"), counts)}


# Alert (and what tells its rules apart): cases that fire, and cases that do not.
TESTS = {
    ("ServiceDown", ""): [
        Case("none is known", True, up("campaign-service", "analytics-service"), 5),
        Case("none is up", True, up("campaign-service", "analytics-service") | {f'up{{{POD},service="bidding-service"}}': constant(0, 10)}, 5),
        Case("all are up", False, up(*ALL), 5)],
    ("HighErrorRate", ""): [
        Case("the small one of two services", True, answers("campaign-service", 100_000) | answers("analytics-service", 94, 6), 15,
             of='service="analytics-service"'),
        Case("the large one beside it", False, answers("campaign-service", 100_000) | answers("analytics-service", 94, 6), 15,
             of='service="campaign-service"'),
        Case("several statuses make it", True, answers("campaign-service", 940, 20, 20, 20), 15),
        Case("4 % of each service, of several statuses", False,
             answers("campaign-service", 960, 20, 20) | answers("analytics-service", 96, 2, 2), 15)],
    ("HighBidLatency", ""): [
        Case("by late answers", True, of_bids(late=150), 10),
        Case("by refused ones", True, of_bids(shed=150), 10),
        Case("by both together", True, of_bids(late=60, shed=60), 10),
        Case("by percentile", True, latency("0.1"), 10),
        Case("few are late or refused", False, of_bids(late=40, shed=40), 10),
        Case("malformed ones", False, of_bids(malformed=500), 10),
        Case("panics", False, of_bids(panics=500), 10, asked=("namespace:bid_errors:ratio_5m > bool 0.01",)),
        Case("all are fast", False, latency("0.02"), 10)],
    ("BidHandlerPanics", ""): burst("bid_panics_total", POD),
    ("NoBidTraffic", ""): both(
        {f'bid_requests_total{{{POD},exchange="x",outcome="bid"}}': "0+600x30 18000x40"}, traffic("bid", (0, 70)), 60),
    ("NoBids", ""): both(
        {f'bid_requests_total{{{POD},exchange="x",outcome="bid"}}': constant(0, 40),
         f'bid_requests_total{{{POD},exchange="x",outcome="no_bid"}}': counter(600, 40)}, traffic("bid", (0, 40)), 30),
    ("NotReady", ""): gauge("ready", f'{POD},service="bidding-service"', 0, 1, 10),
    ("PodCrashLooping", ""): [
        Case("a container that lives a minute", True, crash_loop(60, 40, 90), *range(6, 91), interval="15s"),
        Case("one that lives nine", True, crash_loop(540, 40, 180), *range(45, 181), interval="15s"),
        Case("it restarted once", False, crash_loop(60, 1, 30), *range(1, 31), interval="15s"),
        Case("it restarted twice and lives", False, crash_loop(60, 2, 30), *range(1, 31), interval="15s"),
        Case("the loop is over", False, crash_loop(60, 6, 45), 30, interval="15s"),
        Case("restarts an hour apart", False, crash_loop(3600, 5, 240), *range(1, 241), interval="15s")],
    ("MetricsMissing", ""): [
        *(Case(f"of {what}", True, of_cluster(what), 20, of=f'of="{what}"') for what in ("pods and jobs", "autoscalers", "certificates")),
        Case("of others than those", False, of_cluster("autoscalers"), 20, of='of!="autoscalers"'),
        Case("all is told", False, of_cluster(), 20)],
    ("ReplicaUnseen", ""): gauge("up", f'{POD},service="bidding-service"', 0, 1, 10),
    ("StoreNotReady", ""): gauge("kube_pod_status_ready", f'{NS},condition="true",pod="postgres-archive-0"', 0, 1, 20) + [
        Case("a job that is done", False, {f'kube_pod_status_ready{{{NS},condition="true",pod="redis-cluster-init-7-4-2-abcde"}}': constant(0, 20)}, 20)],
    ("JobFailed", ""): gauge("kube_job_status_failed", f'{NS},job_name="migrations"', 1, 0, 10),
    ("ScalerAtMaximum", ""): both(scaler(10, 10), scaler(9, 10), 20),
    ("OpenFilesNearLimit", ""): both(files(900), files(700), 10),
    ("LedgerRebuildIncomplete", ""): burst("ledger_rebuild_skipped_records_total", f'{POD},topic="spend"'),
    ("DeliveredBeyondBudget", ""): burst("over_delivery_nanos_total", f'{POD},currency="EUR"', 40),
    ("StoreUnreachable", ""): [
        Case("one replica of two", True, {f'backend_up{{{NS},pod="{pod}",service="bidding-service",backend="kafka"}}': constant(value, 10)
                                          for pod, value in (("one", 0), ("two", 1))}, 10, of='service="bidding-service"'),
        Case("it answers", False, {f'backend_up{{{POD},service="bidding-service",backend="kafka"}}': constant(1, 10)}, 10)],
    ("CertificateExpires", ""): gauge(
        "certmanager_certificate_expiration_timestamp_seconds", f'{NS},name="public"', 86_400 * 10, 86_400 * 30, 90),
    ("OverDelivery", ""): [
        Case("of all that is billed", True, money(2, 100), 80),
        Case("of the small one of two currencies", True, money(2, 100) | money(0, 1_000_000, ',currency="JPY"'), 80, of='currency="EUR"'),
        Case("of one in which nothing is billed", True, {f'over_delivery_nanos_total{{{POD},currency="EUR"}}': counter(2, 90)}, 80),
        Case("where no currency is told", True, money(2, 100, ""), 80, of='currency=""'),
        Case("of the large one beside it", False, money(2, 100) | money(0, 1_000_000, ',currency="JPY"'), 80, of='currency="JPY"'),
        Case("little of what is billed", False, money(1, 1000), 80)],
    ("LedgerRefusing", ""): gauge("ledger_refusing", POD, 3, 0, 5),
    ("SpoolInUse", ""): gauge("spool_records", POD, 12, 0, 10),
    ("SpoolRefuses", ""): burst("spool_refused_total", POD),
    ("SpoolSetAside", ""): burst("spool_set_aside_total", POD),
    ("IndexStale", ""): gauge("index_age_seconds", POD, 45, 2, 5),
    ("IndexLeavesRecordsOut", ""): gauge("index_left_out_records", f'{POD},reason="not_understood"', 1, 0, 20),
    ("OutboxLag", ""): gauge("outbox_lag_seconds", POD, 60, 1, 5),
    ("ReportsBehind", ""): gauge("report_freshness_seconds", POD, 400, 20, 10),
    ("ConsumerStopped", ""): [
        Case("one topic of two", True, topic("clicks", 0) | topic("bids", 100), 20, of='topic="clicks"'),
        Case("nothing was ever applied", True, {f'consumer_lag_records{{{POD},topic="bids",partition="0"}}': constant(9, 30)}, 20),
        Case("the topic beside it", False, topic("clicks", 0) | topic("bids", 100), 20, of='topic="bids"'),
        Case("records that were added before", False, topic("bids", 100, counted="events_repeated_total"), 20),
        Case("records that are set aside", False, topic("bids", 100, counted="events_set_aside_total"), 20),
        Case("nothing waits", False, topic("bids", 0, lag=0), 20)],
    ("ConsumerWithoutPartitions", ""): [
        Case("no replica holds one", True, held(bids=(0, 0)), 5),
        Case("of one topic of two", True, held(bids=(3, 3), clicks=(0, 0)), 5, of='topic="clicks"'),
        Case("one of two replicas holds them all", False, held(bids=(6, 0)), 5),
        Case("no replica is seen", False, {}, 5)],
    ("EventsDropped", ""): burst("events_dropped_total", f'{POD},topic="user_counters"'),
    ("TracesDropped", ""): burst("trace_spans_dropped_total", f'{POD},reason="not_taken"', 40),
    ("EventsSetAside", ""): burst("events_set_aside_total", f'{POD},topic="bids"'),
    ("DatabaseDown", ""): store("postgresql", "campaign-service"),
    ("RedisDown", ""): store("redis_ledger", "bidding-service"),
    ("KafkaDown", ""): store("kafka", "bidding-service"),
}
# Factor in thousandths, and the windows in minutes.
PAIRS = {"5m/1h": (14.4, 5, 60), "30m/6h": (6, 30, 360), "2h/1d": (3, 120, 1440), "6h/3d": (1, 360, 4320)}
for slo, alert in (("bid", "BidErrorBudgetBurn"), ("api", "ApiErrorBudgetBurn")):
    TESTS |= {(alert, windows): burn(slo, *of) for windows, of in PAIRS.items()}
# Cases of several rules of one alert in which no label of its texts is told.
UNTOLD = {"where no currency is told"}


def written(alert, windows, case, told):
    """`told`: labels that the alert's texts name; one that is missing would leave a hole in them."""
    labels = [f'alertname="{alert}"', 'alertstate="firing"', *([f'windows="{windows}"'] if windows else []), *([case.of] if case.of else [])]
    if case.fires and case.title not in UNTOLD:
        labels += [f'{label}!=""' for label in sorted(told)]
    asked = [(f"count(ALERTS{{{','.join(labels)}}}) > bool 0", case.fires)] + [(f"sum({expr})", True) for expr in case.asked]
    return {
        "name": f"{alert} {windows}: {case.title}: {'fires' if case.fires else 'keeps quiet'}",
        "interval": case.interval,
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "promql_expr_test": [
            {"expr": expr, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": 1}] if true else []}
            for minute in case.minutes for expr, true in asked],
    }


# Beyond it rules are evaluated every four minutes, and only those of the objectives: three days by the minute take minutes
# of CPU time. A sample counts for five.
LONG_MINUTES = 300
LONG_RULES = ("recording.yaml", "objectives.yaml")


def main():
    files = sorted(glob.glob(f"{HERE}/rules/*.yaml"))
    rules = [rule for file in files for group in yaml.safe_load(open(file))["groups"] for rule in group["rules"]]
    wanted = {(rule["alert"], rule["labels"].get("windows", "")) for rule in rules if "alert" in rule}
    if wanted != set(TESTS):
        sys.exit(f"alerts and tests differ: {sorted(wanted ^ set(TESTS))}")
    if lacking := [key for key, cases in TESTS.items() if {case.fires for case in cases} != {True, False}]:
        sys.exit(f"these have no case that fires, or none that does not: {lacking}")
    told = {rule["alert"]: set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) for rule in rules if "alert" in rule}
    cases = [(max(case.minutes), written(alert, windows, case, told[alert]))
             for (alert, windows), of in TESTS.items() for case in of]
    of_long = [file for file in files if file.endswith(LONG_RULES)]
    for part, interval, of, chosen in (
        ("short", "1m", files, [case for minutes, case in cases if minutes <= LONG_MINUTES]),
        ("long", "4m", of_long, [case for minutes, case in cases if minutes > LONG_MINUTES]),
    ):
        with open(f"{sys.argv[1]}/{part}.json", "w") as out:
            json.dump({"rule_files": of, "evaluation_interval": interval, "tests": chosen}, out)
    print(f"{len(wanted)} alerts, {len(cases)} cases")


if __name__ == "__main__":
    main()
