#!/usr/bin/env python3
"""A trickle of bid requests until it is told to end (SIGTERM): half on new connections, half on one that is kept.

    trickle.py HOST REQUESTS_PER_SECOND

Prints one JSON object: requests, bids, lost (neither 200 nor 204, or no answer), slowest_ms, and the first losses. A kept
connection that was closed before a request was sent on it is opened again, as every client does.
"""
import http.client
import json
import os
import select
import signal
import sys
import threading
import time

HOST, RATE = sys.argv[1], float(sys.argv[2])
SECRET = os.environ["EXCHANGE_SECRET"]
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())


class Trickle(threading.Thread):
    def __init__(self, keep):
        super().__init__()
        self.keep, self.connection = keep, None
        self.count = {"requests": 0, "bids": 0, "lost": 0}
        self.losses, self.slowest_ms = [], 0.0

    def connected(self):
        """A connection that the other side has not closed."""
        kept = self.connection
        if not (self.keep and kept and kept.sock and not select.select([kept.sock], [], [], 0)[0]):
            if kept:
                kept.close()
            self.connection = http.client.HTTPConnection(HOST, timeout=5)
        return self.connection

    def ask(self, number):
        body = json.dumps({"id": f"t{number}", "at": 1, "cur": ["USD"], "tmax": 200,
                           "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.5}],
                           "site": {"domain": "news.example"}, "device": {"ip": "203.0.113.7", "ua": "Mozilla/5.0"}})
        begin = time.monotonic()
        try:
            connection = self.connected()
            connection.request("POST", "/openrtb2/bid", body, {"content-type": "application/json", "x-exchange": SECRET})
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except OSError as error:
            status = repr(error)
        except http.client.HTTPException as error:
            status = repr(error)
        if status not in (200, 204):
            self.count["lost"] += 1
            self.losses.append({"at": time.strftime("%H:%M:%S"), "kept": self.keep, "why": status})
            self.connection = None
        self.count["bids"] += status == 200
        self.slowest_ms = max(self.slowest_ms, (time.monotonic() - begin) * 1000)

    def run(self):
        begin = time.monotonic()
        while not ended.wait(max(0.0, begin + self.count["requests"] * 2 / RATE - time.monotonic())):
            self.count["requests"] += 1
            self.ask(self.count["requests"])


trickles = [Trickle(keep) for keep in (False, True)]
for one in trickles:
    one.start()
while not ended.wait(0.2):
    pass
for one in trickles:
    one.join()
print(json.dumps({name: sum(one.count[name] for one in trickles) for name in trickles[0].count}
                 | {"slowest_ms": round(max(one.slowest_ms for one in trickles)),
                    "losses": sum((one.losses[:5] for one in trickles), [])}))
