"""Who asks the services on the stage: an exchange that bids and bills, one that is slow, and people at the API."""
import http.client
import json
import re
import threading
import time
import urllib.parse

from stage import PODS, ask, wait

BIDDERS = [pod for pod, service in PODS.items() if service == "bidding-service"]
# Between two requests of an exchange, and of a person.
PAUSE_S = 0.1
# Longer than a bid may take from its first byte.
SLOW_S = 0.15
REQUEST = {"id": "1", "at": 1, "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}],
           "site": {"domain": "daily.example"}, "device": {"geo": {"country": "USA"}}}
CAMPAIGN = {"name": "c", "status": "active", "flight": {"start": "2026-01-01T00:00:00Z"}, "pacing": "asap",
            "budget": {"currency": "USD", "daily_micros": 1_000_000_000}, "bid": {"max_cpm_micros": 2_000_000}}
# Spends a plan, at the better price: cents a second over the minutes that anybody looks.
EVEN = {"name": "even", "pacing": "even", "bid": {"max_cpm_micros": 3_000_000}, "budget": {"currency": "USD", "total_micros": 3_000_000}}
EVEN_FOR_S = 600
CREATIVE = {"name": "b", "format": "banner", "width": 300, "height": 250, "click_url": "https://brand.example/",
            "adomain": ["brand.example"], "markup": '<a href="{CLICK_URL}"><img src="https://media.example/a.png"></a>'}


def made(url, body):
    return json.loads(wait(f"POST {urllib.parse.urlsplit(url).path}", lambda: ask(url, body)))["id"]


def campaigns(stage):
    """Two that bid on REQUEST, and everything that it takes."""
    api = stage.url("campaign-1")
    advertiser = made(f"{api}/advertisers", {"name": "Brand"})
    now = time.time()
    start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (now, now + EVEN_FOR_S))
    for more in ({}, EVEN | {"flight": {"start": start, "end": end}}):
        campaign = made(f"{api}/campaigns", CAMPAIGN | more | {"advertiser_id": advertiser})
        made(f"{api}/campaigns/{campaign}/creatives", CREATIVE)


class Traffic:
    """Each asker is a thread of its own, until it is told to stop."""

    def __init__(self, stage):
        self.stage, self.ended, self.slow = stage, threading.Event(), threading.Event()

    def begin(self):
        for pod in BIDDERS:
            self.stage.start([f"{self.stage.programs}/adplatform", "load", "--url", f"{self.stage.url(pod)}/openrtb2/bid",
                              "--rate", "50", "--duration", "3600s", "--connections", "4"], f"load-{pod}")
            self.every(lambda pod=pod: self.trade(pod))
            self.every(lambda pod=pod: self.slow.is_set() and self.late(pod))
        api = self.stage.url("campaign-1")
        # The second is forwarded to analytics-service.
        report = "/analytics/report?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z"
        for path in ("/campaigns", report):
            self.every(lambda url=api + path: ask(url))

    def every(self, act):
        def run():
            while not self.ended.wait(PAUSE_S):
                try:
                    act()
                except (OSError, http.client.HTTPException, ValueError):
                    # The other side is being killed.
                    pass

        threading.Thread(target=run, daemon=True).start()

    def trade(self, pod):
        """A request, and if somebody bids: what an exchange and a browser do then."""
        answer = ask(f"{self.stage.url(pod)}/openrtb2/bid", REQUEST)
        for seat in json.loads(answer or b"{}").get("seatbid", []):
            for bid in seat["bid"]:
                pixels = re.findall(r'https?://[^"\s]*/event/\w+\?[^"\s]*', bid.get("adm", ""))
                for url in [bid["nurl"], bid["burl"], *pixels]:
                    self.hit(url.replace("${AUCTION_PRICE}", "1.00").replace("&amp;", "&"))

    def hit(self, url):
        """Follows no redirect: where a click leads is nobody's server."""
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
        connection.request("GET", f"{parts.path}?{parts.query}")
        connection.getresponse().read()
        connection.close()

    def late(self, pod):
        """The body comes after the time for the answer is over."""
        body = json.dumps(REQUEST).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.stage.ports[pod][0], timeout=5)
        connection.putrequest("POST", "/openrtb2/bid")
        connection.putheader("content-length", str(len(body)))
        connection.endheaders()
        time.sleep(SLOW_S)
        connection.send(body)
        connection.getresponse().read()
        connection.close()
