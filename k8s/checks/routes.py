"""Where a request to a public address goes, by Gateway or Ingress, against the table of addresses.

    kubectl kustomize k8s/overlays/production | python3 k8s/checks/routes.py [DOMAIN]
"""

import pathlib
import re
import sys

from objects import Objects, title

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "crates/campaign-service/src"

# Path after the host's first word; None: answered by nobody.
EXPECTED = {
    "api": {
        "campaign-service": [
            "/campaigns", "/campaigns/c1", "/campaigns/c1/creatives", "/campaigns:batch", "/advertisers", "/advertisers/a1",
            "/creatives/c1", "/audiences", "/audiences/a1/members", "/deals/d1", "/exchanges", "/keys/k1/rotate", "/users", "/openapi.json", "/docs",
            "/docs/x", "/console", "/console/app.js", "/explain", "/forecast",
        ],
        "analytics-service": ["/analytics/report", "/analytics/campaigns/c1/delivery", "/analytics/live"],
        None: ["/", "/metrics", "/health/ready", "/campaignsx", "/campaigns:other", "/analyticsx", "/openapi.json/x", "/forecast/x"],
    },
    "bidding": {"bidding-service": ["/", "/openrtb2/bid", "/openrtb2/x/bid", "/notice/win", "/event/click", "/sync/x"]},
}  # fmt: skip


def mistakes(objects, domain):
    rules = list(_rules(objects))
    if not rules:
        return
    for word, services in EXPECTED.items():
        for expected, paths in services.items():
            for path in paths:
                found = _answered_by(rules, f"{word}.{domain}", path)
                if found != expected:
                    yield f"{word}.{domain}{path} goes to {found or 'nobody'}, not to {expected or 'nobody'}"
    for host in sorted({host for host, *_ in rules} - {f"{word}.{domain}" for word in EXPECTED}):
        yield f"{host} is a host of no service"
    yield from _certified(objects, domain)
    yield from _uploads(objects)


def _rules(objects):
    """(host, exact, path, service) of every way in that leads to a Service."""
    for ingress in objects.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                yield rule["host"], path["pathType"] == "Exact", path["path"], path["backend"]["service"]["name"]
    for route in objects.of("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", []):
                for match in rule["matches"]:
                    for host in route["spec"]["hostnames"]:
                        yield host, match["path"]["type"] == "Exact", match["path"]["value"], backend["name"]


def _answered_by(rules, host, path):
    """Exact before prefix, the longest prefix first, a prefix by whole elements: as both APIs say."""
    best = None
    for rule_host, exact, wanted, service in rules:
        prefix = wanted.rstrip("/")
        fits = path == wanted if exact else path == prefix or path.startswith(prefix + "/")
        if rule_host == host and fits and (best is None or (exact, len(wanted)) > best[0]):
            best = ((exact, len(wanted)), service)
    return best and best[1]


def _uploads(objects):
    """Members of audiences are let through as large and for as long as the service takes them."""
    mebibytes = int(re.search(r"LONGEST_BODY_BYTES: usize = (\d+) << 20", (SOURCE / "members.rs").read_text())[1])
    seconds = int(re.search(r"UPLOAD_WITHIN: .*from_secs\((\d+)\)", (SOURCE / "routes.rs").read_text())[1])
    for ingress in objects.of("Ingress"):
        if any(path["path"] == "/audiences" for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
            said = {key.split("/")[1]: value for key, value in ingress["metadata"]["annotations"].items()}
            if (said.get("proxy-body-size"), said.get("proxy-read-timeout")) != (f"{mebibytes}m", str(seconds)):
                yield f"{title(ingress)} does not let uploads of {mebibytes} MiB and {seconds} s through"
    for route in objects.of("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            if any(match["path"]["value"] == "/audiences" for match in rule.get("matches", [])):
                if rule.get("timeouts", {}).get("request") != f"{seconds}s":
                    yield f"{title(route)} does not let uploads of {seconds} s through"


def _certified(objects, domain):
    wanted = {f"{word}.{domain}" for word in EXPECTED}
    for certificate in objects.of("Certificate"):
        for host in sorted(wanted - set(certificate["spec"]["dnsNames"])):
            yield f"Certificate {certificate['metadata']['name']} is not for {host}"
    for gateway in objects.of("Gateway"):
        served = {listener.get("hostname") for listener in gateway["spec"]["listeners"] if "tls" in listener}
        for host in sorted(wanted - served):
            yield f"Gateway {gateway['metadata']['name']} has no listener with a certificate for {host}"


def main():
    domain = sys.argv[1] if len(sys.argv) > 1 else "adplatform.com"
    found = list(mistakes(Objects.read(sys.stdin.read()), domain))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
