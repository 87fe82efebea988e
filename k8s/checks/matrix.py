"""Which pod may reach which, computed from the rendered policies, against what the design wants. Nothing more, nothing less.

    kubectl kustomize k8s/overlays/production | python3 k8s/checks/matrix.py [--print]
"""

import sys

from objects import Objects, matches, namespace_of

SERVICES = ("campaign-service", "bidding-service", "analytics-service")
# Others of the cluster: name -> (namespace, labels, ports that somebody might want of it).
NEIGHBOURS = {
    "kube-dns": ("kube-system", {"k8s-app": "kube-dns"}, [53]),
    "kube-system": ("kube-system", {}, [53, 443, 8080]),
    "monitoring": ("monitoring", {}, [4318, 9090]),
    "envoy-gateway": ("envoy-gateway-system", {}, [8080]),
    "ingress-nginx": ("ingress-nginx", {}, [8080]),
    "cert-manager": ("cert-manager", {}, [443]),
    "cnpg-system": ("cnpg-system", {}, [443]),
    "strimzi": ("strimzi", {}, [443]),
    "stranger": ("default", {}, [80, 443, 5432, 8080]),
}
# Addresses that are no pod's: the API server is one of them, and no policy can tell it from others.
OUTSIDE_PORTS = (53, 80, 443, 5432, 6443)


def expected(objects):
    """The flows of the design, and of the form of the stores that is there."""
    flows = set()
    apps = {w.labels.get("app") for w in objects.all_pods() if w.namespace == "ad-platform"}

    def flow(sources, targets, *ports):
        flows.update((s, t, p) for s in sources for t in targets for p in ports)

    flow(apps, ["kube-dns"], 53)
    flow(["envoy-gateway", "ingress-nginx"], SERVICES, 8080)
    flow(["monitoring"], SERVICES, 9090)
    flow(SERVICES, ["monitoring"], 4318)
    flow(["campaign-service"], ["analytics-service", "bidding-service"], 8080)
    # A bidder never speaks to PostgreSQL.
    flow(["campaign-service", "analytics-service", "migrations"], ["postgres"], 5432)
    flow([*SERVICES, "migrations", "redis-cluster-init"], ["redis-cluster"], 6379)
    flow([*SERVICES, "migrations"], ["kafka"], 9092)
    flow(["postgres"], ["postgres"], 5432)
    flow(["redis-cluster"], ["redis-cluster"], 6379, 16379)
    flow(["kafka"], ["kafka"], 9090, 9091, 9092)
    flow(["postgres"], ["outside"], 443, 6443)
    if objects.of("Cluster"):
        flow(["postgres"], ["postgres"], 8000)
        flow(["cnpg-system"], ["postgres"], 5432, 8000)
        flow(["campaign-service", "analytics-service", "migrations"], ["postgres-pooler"], 5432)
        flow(["postgres-pooler"], ["postgres"], 5432)
        flow(["postgres-pooler", "kafka", "kafka-entity-operator"], ["outside"], 443, 6443)
        flow(["strimzi"], ["kafka"], 8443, 9090, 9091)
        flow(["kafka-entity-operator"], ["kafka"], 9091)
    else:
        flow(["postgres"], ["postgres"], 8008)
        flow(["postgres-archive"], ["postgres"], 5432)
    if objects.of("APIService"):
        flow(["prometheus-adapter"], ["monitoring"], 9090)
        flow(["prometheus-adapter"], ["outside"], 443, 6443)
        # The API server, wherever it is; the adapter asks everyone who he is.
        flow(["outside", *NEIGHBOURS], ["prometheus-adapter"], 10250)
    if objects.of("Issuer"):
        flow(["cert-manager", "envoy-gateway", "ingress-nginx"], ["acme-challenge"], 8089)
    return flows


def allowed(objects):
    """Every (source, target, port) that the policies let through: out of the one and into the other."""
    places = _places(objects)
    policies = objects.of("NetworkPolicy")
    flows = set()
    for source_name, source in places.items():
        for target_name, target in places.items():
            ours = "ad-platform" in (source and source[0], target and target[0])
            for port in target[2] if target else OUTSIDE_PORTS:
                if ours and _passes(policies, source, target, port, "Egress") and _passes(policies, target, source, port, "Ingress"):
                    flows.add((source_name, target_name, port))
    return flows


def _places(objects):
    """name -> (namespace, labels, ports); `outside` is None. Pods with one `app` label are one place."""
    places = {"outside": None, **NEIGHBOURS}
    for workload in objects.all_pods():
        if workload.namespace == "ad-platform":
            ports = set(workload.ports().values())
            places[workload.labels.get("app", workload.name)] = (workload.namespace, workload.labels, sorted(ports))
    return places


def _passes(policies, own, peer, port, direction):
    """Whether `own` lets traffic with `peer` through, on a port of the target. Without a policy of that direction: yes."""
    if own is None:
        return True
    rules_field, peers_field = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    selected = [
        p["spec"]
        for p in policies
        if namespace_of(p) == own[0] and matches(p["spec"]["podSelector"], own[1]) and direction in _types(p["spec"])
    ]
    rules = [rule for spec in selected for rule in spec.get(rules_field) or []]
    return not selected or any(_port(rule, port) and _peer(rule.get(peers_field), own[0], peer) for rule in rules)


def _types(spec):
    return spec.get("policyTypes") or ["Ingress"] + (["Egress"] if "egress" in spec else [])


def _port(rule, port):
    ports = rule.get("ports")
    return not ports or any(p.get("port") in (None, port) or p.get("port", 0) <= port <= p.get("endPort", -1) for p in ports)


def _peer(peers, own_namespace, place):
    """An empty list is everybody. A block of addresses may hold pods too: that depends on the network."""
    if not peers:
        return True
    for peer in peers:
        if "ipBlock" in peer:
            if place is None or peer["ipBlock"]["cidr"] == "0.0.0.0/0":
                return True
            continue
        if place is None:
            continue
        namespaces = peer.get("namespaceSelector")
        labels = {"kubernetes.io/metadata.name": place[0]}
        right_namespace = place[0] == own_namespace if namespaces is None else matches(namespaces, labels)
        if right_namespace and matches(peer.get("podSelector") or {}, place[1]):
            return True
    return False


def mistakes(objects):
    if not objects.of("NetworkPolicy"):
        return
    # What a block of addresses lets out to 443 it lets out to pods that listen there too.
    blocks = {s for s, t, _ in expected(objects) if t == "outside"}
    possible = {(s, t, 443) for s in blocks for t in NEIGHBOURS}
    found, wanted = allowed(objects), expected(objects)
    for source, target, port in sorted(found - wanted - possible):
        yield f"{source} may reach {target}:{port}, which nothing needs"
    for source, target, port in sorted(wanted - found):
        yield f"{source} needs {target}:{port} and may not reach it"


def main():
    objects = Objects.read(sys.stdin.read())
    if "--print" in sys.argv:
        for source, target, port in sorted(allowed(objects)):
            print(f"{source} -> {target}:{port}")
    found = list(mistakes(objects))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
