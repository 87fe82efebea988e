"""Who leads to whom: Services, probes, routes, policies, scalers, budgets."""

from objects import matches, namespace_of, title

# Spelled as the services answer them, on both ports.
PROBE_PATHS = {
    "campaign-service": {"/health/live", "/health/ready"},
    "analytics-service": {"/health/live", "/health/ready"},
    "bidding-service": {"/health", "/ready"},
}


def mistakes(objects):
    yield from _services(objects)
    yield from _probes(objects)
    yield from _routes(objects)
    yield from _apis(objects)
    yield from _policies(objects)
    yield from _budgets(objects)
    yield from _scalers(objects)
    yield from _spread(objects)


def _services(objects):
    for service in objects.of("Service"):
        selector = service["spec"].get("selector")
        if not selector:
            continue
        workloads = [w for w in objects.all_pods() if w.namespace == namespace_of(service) and w.selected_by(selector)]
        if not workloads:
            yield f"{title(service)} selects no pod: {selector}"
        for workload in workloads:
            for port in service["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                if target not in workload.ports():
                    yield f"{title(service)} leads to port {target}, which {workload} does not have"


def _probes(objects):
    for workload in objects.workloads():
        for container in workload.containers():
            own = {p.get("name") for p in container.get("ports", [])} | {
                p["containerPort"] for p in container.get("ports", [])
            }
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                for handler in ("httpGet", "tcpSocket", "grpc"):
                    target = container.get(probe, {}).get(handler)
                    if target and target["port"] not in own:
                        yield f"{workload}, {probe} asks port {target['port']}, which {container['name']} does not have"
                path = container.get(probe, {}).get("httpGet", {}).get("path")
                known = PROBE_PATHS.get(container["name"])
                if path and known and path not in known:
                    yield f"{workload}, {probe} asks {path}, which {container['name']} does not answer"


def _port_of(objects, name, namespace, port):
    service = objects.find("Service", name, namespace)
    if not service:
        return f"leads to Service {name}, which does not exist"
    if not any(port in (p["port"], p.get("name")) for p in service["spec"]["ports"]):
        return f"leads to port {port} of Service {name}, which has no such port"
    return None


def _routes(objects):
    for ingress in objects.of("Ingress"):
        for rule in ingress["spec"].get("rules", []):
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                port = service["port"].get("number", service["port"].get("name"))
                problem = _port_of(objects, service["name"], namespace_of(ingress), port)
                if problem:
                    yield f"{title(ingress)}, {rule['host']}{path['path']} {problem}"
    for route in objects.of("HTTPRoute"):
        yield from _parents(objects, route)
        for rule in route["spec"].get("rules", []):
            for backend in rule.get("backendRefs", []):
                problem = _port_of(objects, backend["name"], namespace_of(route), backend["port"])
                if problem:
                    yield f"{title(route)} {problem}"


def _apis(objects):
    for api in objects.of("APIService"):
        service = api["spec"]["service"]
        problem = _port_of(objects, service["name"], service["namespace"], service.get("port", 443))
        if problem:
            yield f"{title(api)} {problem}"


def _parents(objects, route):
    for parent in route["spec"]["parentRefs"]:
        gateway = objects.find("Gateway", parent["name"], parent.get("namespace", namespace_of(route)))
        if not gateway:
            yield f"{title(route)} hangs on Gateway {parent['name']}, which does not exist"
        elif "sectionName" in parent and parent["sectionName"] not in {
            listener["name"] for listener in gateway["spec"]["listeners"]
        }:
            yield f"{title(route)} hangs on listener {parent['sectionName']}, which {title(gateway)} does not have"


def _named_apps(selector):
    """Each pod label that a selector spells: one of several must not dangle unseen."""
    for expression in selector.get("matchExpressions") or []:
        if expression["operator"] == "In":
            yield from ({"matchLabels": {expression["key"]: value}} for value in expression["values"])


def _policies(objects):
    for policy in objects.of("NetworkPolicy"):
        namespace, spec = namespace_of(policy), policy["spec"]
        targets = objects.pods(namespace, spec["podSelector"])
        if not targets:
            yield f"{title(policy)} is for no pod"
        for single in _named_apps(spec["podSelector"]):
            if not objects.pods(namespace, single):
                yield f"{title(policy)} is for pods that do not exist: {single['matchLabels']}"
        for rule in spec.get("ingress", []):
            yield from _ports(policy, rule, targets)
            yield from _peers(objects, policy, rule.get("from", []), rule, False)
        for rule in spec.get("egress", []):
            yield from _peers(objects, policy, rule.get("to", []), rule, True)


def _peers(objects, policy, peers, rule, outward):
    for peer in peers:
        if "podSelector" not in peer or "ipBlock" in peer:
            continue
        namespaces = _namespaces(objects, peer.get("namespaceSelector"), namespace_of(policy))
        if not namespaces:
            continue  # another's namespace, such as kube-system
        workloads = [w for n in namespaces for w in objects.pods(n, peer["podSelector"])]
        for single in _named_apps(peer["podSelector"]):
            if not any(objects.pods(n, single) for n in namespaces):
                yield f"{title(policy)} speaks of pods that do not exist: {single['matchLabels']}"
        if not workloads:
            yield f"{title(policy)} speaks of pods that do not exist: {peer['podSelector']}"
        if outward:
            yield from _ports(policy, rule, workloads)


def _namespaces(objects, selector, own):
    """Namespaces among the objects that a selector matches."""
    if selector is None:
        return [own]
    found = []
    for namespace in objects.of("Namespace"):
        name = namespace["metadata"]["name"]
        labels = {"kubernetes.io/metadata.name": name, **namespace["metadata"].get("labels", {})}
        if matches(selector, labels):
            found.append(name)
    return found


def _ports(policy, rule, workloads):
    for port in rule.get("ports", []):
        if workloads and not any(port.get("port") in w.ports() for w in workloads):
            names = ", ".join(str(w) for w in workloads)
            yield f"{title(policy)} opens port {port.get('port')}, which {names} does not have"


def _budgets(objects):
    for budget in objects.of("PodDisruptionBudget"):
        if not objects.pods(namespace_of(budget), budget["spec"]["selector"]):
            yield f"{title(budget)} guards no pod"


def _scalers(objects):
    for scaler in objects.of("HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler["spec"]["scaleTargetRef"]
        workload = objects.find(target.get("kind", "Deployment"), target["name"], namespace_of(scaler))
        if not workload:
            yield f"{title(scaler)} scales {target['name']}, which does not exist"
        elif "replicas" in workload["spec"]:
            yield f"{title(workload)} sets replicas, and {title(scaler)} does too"


def _spread(objects):
    for workload in objects.workloads():
        for rule in workload.spec.get("topologySpreadConstraints", []):
            if not matches(rule["labelSelector"], workload.labels):
                yield f"{workload} spreads pods that are not its own"
        selector = workload.document["spec"].get("selector")
        if selector and workload.kind != "Job" and not matches(selector, workload.labels):
            yield f"{workload} does not select its own pods"
