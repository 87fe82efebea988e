#!/usr/bin/env python3
"""Draws every panel from its own queries, on a real Prometheus over the running services: Debian has no Grafana.

pictures.py PROGRAMS FOLDER [SECONDS [COLLECTOR]]: a picture a dashboard goes to FOLDER, after so many seconds of traffic (120). In
the second quarter bids are late, reports are away, and so is the collector of traces, where one is given (collectors.sh builds it);
in the third Redis hangs, which has ledger and users where there is a redis-server. By hand, for eyes; needs matplotlib.
"""
import math
import shutil
import signal
import sys
import tempfile
import time

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from node import Node  # noqa: E402
from stage import FASTER, Stage, free_port, panels  # noqa: E402
from traffic import Traffic, campaigns  # noqa: E402

STEP_S = 0.5
SCALES = {"s": "seconds", "reqps": "a second", "percentunit": "share", "bytes": "bytes", "short": ""}


def legend(target, metric):
    text = target["legendFormat"]
    for label, value in metric.items():
        text = text.replace("{{%s}}" % label, value)
    return text


def broken(points):
    """A line ends where there is no data, as Grafana's do."""
    at, values = [], []
    for moment, value in points:
        if at and moment - at[-1] > 1.5 * STEP_S:
            at.append(moment)
            values.append(math.nan)
        at.append(moment)
        values.append(value)
    return at, values


def draw(stage, panel, exprs, axes, began, ended):
    for target, expr in zip(panel["targets"], exprs):
        for series in stage.query(expr, start=began, end=ended, step=STEP_S) or []:
            at, values = broken([(moment - began, float(value)) for moment, value in series["values"]])
            axes.plot(at, values, label=legend(target, series["metric"]), linewidth=1)
    axes.set_title(panel["title"], fontsize=9)
    axes.set_ylabel(SCALES[panel["fieldConfig"]["defaults"]["unit"]], fontsize=7)
    axes.set_xlim(0, ended - began)
    limits(axes, panel["fieldConfig"]["defaults"])
    axes.tick_params(labelsize=6)
    if axes.lines:
        axes.legend(fontsize=6, loc="upper left")
    else:
        axes.text(0.5, 0.5, "No data", ha="center", transform=axes.transAxes)


def limits(axes, defaults):
    drawn = [value for one in axes.lines for value in one.get_ydata() if not math.isnan(value)]
    soft = min([defaults["custom"]["axisSoftMin"], *drawn]) if "custom" in defaults else None
    axes.set_ylim(bottom=defaults.get("min", soft), top=defaults.get("max"))


def draw_all(stage, folder, began, ended):
    boards = {}
    for board, panel, exprs in panels():
        boards.setdefault(board["uid"], (board["title"], []))[1].append((panel, exprs))
    for uid, (title, of) in boards.items():
        rows = math.ceil(len(of) / 2)
        figure, grid = plt.subplots(rows, 2, figsize=(12, 2.6 * rows), squeeze=False)
        for axes in list(grid.flat)[len(of):]:
            axes.axis("off")
        for (panel, exprs), axes in zip(of, grid.flat):
            draw(stage, panel, exprs, axes, began, ended)
        figure.suptitle(f"{title} ({FASTER} times faster)", fontsize=10)
        figure.tight_layout()
        figure.savefig(f"{folder}/{uid}.png", dpi=80)
        print(f"{folder}/{uid}.png")


def main():
    programs, folder, seconds, collector = [*sys.argv[1:], *["120", ""][len(sys.argv) - 3:]]
    seconds = int(seconds)
    with tempfile.TemporaryDirectory() as work:
        redis = shutil.which("redis-server") and free_port()
        settings = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis), "DATABASE_URL": f"sqlite:{work}/data/store"} if redis else {}
        stage = Node(programs, collector, work, BID_TRACE_RATIO="0.1", **settings) if collector else Stage(programs, work, **settings)
        traffic = Traffic(stage)
        try:
            if collector:
                stage.keep()
                stage.collect("traces")
            if redis:
                stage.start(["redis-server", "--port", str(redis), "--save", "", "--dir", work], "redis")
            stage.start_services()
            stage.start_prometheus()
            began = time.time()
            campaigns(stage)
            traffic.begin()
            time.sleep(seconds / 4)
            traffic.slow.set()
            stage.kill("analytics-1")
            if collector:
                stage.kill("traces-collector")
            time.sleep(seconds / 4)
            traffic.slow.clear()
            if collector:
                stage.collect("traces")
            stage.service("analytics-1")
            time.sleep(seconds / 8)
            if redis:
                stage.children["redis"].send_signal(signal.SIGSTOP)
            time.sleep(seconds / 8)
            if redis:
                stage.children["redis"].send_signal(signal.SIGCONT)
            time.sleep(seconds / 4)
            draw_all(stage, folder, began, time.time())
        finally:
            traffic.ended.set()
            stage.stop()


if __name__ == "__main__":
    main()
