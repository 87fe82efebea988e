#!/usr/bin/env python3
"""A small exchange that trades with the platform of compose.yaml.

Makes an advertiser with two campaigns, proves to be the exchange "default" by a secret header, sends OpenRTB bid requests,
runs an auction against a made-up rival, and fires win and billing notices. Then waits until the report says what was billed.
Exit code 0 means that it does, to the nano.
"""
import hashlib
import json
import os
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

API = os.environ.get("API_URL", "http://campaign-service:8080")
BIDDER = os.environ.get("BIDDING_URL", "http://bidding-service:8080")
KEY = os.environ["ADMIN_API_KEY"]
SECONDS = float(os.environ.get("DEMO_SECONDS", "30"))
RATE = float(os.environ.get("DEMO_RATE", "50"))
SECRET = "the-demo-exchange-of-compose"
PATIENCE_SECONDS = 60


def call(method, url, body=None, headers=None):
    """Status and body; an answer that is an error is an answer too."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def api(method, path, body=None, content_type="application/json"):
    status, answer = call(method, API + path, body, {"authorization": f"Bearer {KEY}", "content-type": content_type})
    if status >= 300:
        sys.exit(f"{method} {path}: {status} {answer.decode()}")
    return json.loads(answer)


def set_up():
    """The campaigns' ids."""
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    exchange = next(one for one in api("GET", "/exchanges")["items"] if one["name"] == "default")
    api("PATCH", f"/exchanges/{exchange['id']}", {"secret_header": {"name": "x-exchange", "sha256": digest}},
        "application/merge-patch+json")
    advertiser = api("POST", "/advertisers", {"name": "Alder Outdoor"})["id"]
    campaigns = []
    for name, cpm_micros in (("Trail shoes", 2_500_000), ("Tents", 1_900_000)):
        campaign = api("POST", "/campaigns", {
            "advertiser_id": advertiser, "name": name, "status": "active", "pacing": "asap",
            "flight": {"start": "2026-01-01T00:00:00Z", "time_zone": "Europe/Berlin"},
            "budget": {"currency": "USD", "daily_micros": 50_000_000},
            "bid": {"strategy": "max_cpm", "max_cpm_micros": cpm_micros}})["id"]
        api("POST", f"/campaigns/{campaign}/creatives", {
            "name": name, "format": "banner", "width": 300, "height": 250, "adomain": ["alder-outdoor.example"],
            "click_url": "https://alder-outdoor.example/",
            "markup": '<a href="{CLICK_URL}"><img src="https://media.example/ad.png"></a>'})
        campaigns.append(campaign)
    return campaigns


def notify(url, price):
    """A notice goes to the bidder's public address; from inside the network that is the service's name."""
    parts = urllib.parse.urlsplit(url.replace("${AUCTION_PRICE}", f"{price:.6f}"))
    status, answer = call("GET", f"{BIDDER}{parts.path}?{parts.query}")
    if status >= 300:
        sys.exit(f"notice {parts.path}: {status} {answer.decode()}")


def trade(campaigns):
    """How many requests, bids, wins there were, and nanos of USD billed to these campaigns: those of an earlier run may bid too."""
    chance = random.Random(1)
    count = {"requests": 0, "bids": 0, "wins": 0, "billed_nanos": 0}
    begin = time.monotonic()
    while time.monotonic() < begin + SECONDS:
        count["requests"] += 1
        request = {"id": f"r{count['requests']}", "at": 1, "cur": ["USD"], "tmax": 200,
                   "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.5}],
                   "site": {"domain": "news.example"}, "device": {"ip": "203.0.113.7", "ua": "Mozilla/5.0"}}
        status, answer = call("POST", f"{BIDDER}/openrtb2/bid", request, {"x-exchange": SECRET})
        if status == 200:
            count["bids"] += 1
            bid = json.loads(answer)["seatbid"][0]["bid"][0]
            if bid["price"] > chance.uniform(0.5, 4.0):
                count["wins"] += 1
                notify(bid["nurl"], bid["price"])
                notify(bid["burl"], bid["price"])
                # CPM in USD: a thousandth of it is owed, which is a million nanos.
                if bid["cid"] in campaigns:
                    count["billed_nanos"] += round(bid["price"] * 1_000_000)
        elif status != 204:
            sys.exit(f"bid request: {status} {answer.decode()}")
        time.sleep(max(0.0, begin + count["requests"] / RATE - time.monotonic()))
    return count


def reported_nanos(campaigns):
    now = int(time.time())
    day = [time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(now + days * 86_400)) for days in (-2, 2)]
    query = urllib.parse.urlencode({"from": day[0], "to": day[1], "granularity": "total", "dimensions": "campaign",
                                    "metrics": "spend_nanos"})
    rows = api("GET", f"/analytics/report?{query}")["rows"]
    return sum(row["spend_nanos"] for row in rows if row["campaign"] in campaigns)


def main():
    campaigns = set_up()
    # A bidder leases for a campaign once it is asked for it; before, it has nothing to offer.
    count = trade(campaigns)
    print(json.dumps(count), flush=True)
    give_up = time.monotonic() + PATIENCE_SECONDS
    while (reported := reported_nanos(campaigns)) != count["billed_nanos"] and time.monotonic() < give_up:
        time.sleep(0.5)
    print(f"billed {count['billed_nanos']} nanos, reported {reported}")
    if reported != count["billed_nanos"] or count["wins"] == 0:
        sys.exit("the books differ" if count["wins"] else "nothing was won")


main()
