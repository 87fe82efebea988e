"""ConfigMaps, Secrets, keys, accounts, classes and hosts: whatever is mentioned must exist."""

import re

from objects import namespace_of, title

IN_CLUSTER = re.compile(r"(http://)?(?:[^\s@/,]*@)?([a-z0-9$()_.-]+\.svc\.cluster\.local)(?::(\d+))?", re.IGNORECASE)
SHORT = re.compile(r"(?<![\w.@:/$()-])([a-z][a-z0-9]*(?:-[a-z0-9]+)+):(\d{4,5})(?![\d.])")
REFERENCE = re.compile(r"(?<!\$)\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
# Roles that every cluster has, and that are not named `system:`.
OF_KUBERNETES = {("kube-system", "extension-apiserver-authentication-reader")}
LOCAL = {"localhost", "0.0.0.0", "127.0.0.1"}


def mistakes(objects):
    yield from _references(objects)
    yield from _accounts(objects)
    yield from _variables(objects)
    yield from _hosts(objects)
    yield from _poolers(objects)
    yield from _jobs(objects)
    yield from _custom(objects)


def _keys(objects, kind, name, namespace):
    """The keys of a ConfigMap or Secret, None where nothing makes it."""
    found = objects.find(kind, name, namespace)
    if not found:
        return None
    return set(found.get("data") or {}) | set(found.get("stringData") or {}) | set(found.get("binaryData") or {})


def _references(objects):
    for workload in objects.workloads():
        for kind, name, key in _mentioned(workload):
            keys = _keys(objects, kind, name, workload.namespace)
            if keys is None:
                yield f"{workload} needs {kind} {name}, which nothing makes"
            elif key is not None and key not in keys:
                yield f"{workload} reads key {key} of {kind} {name}, which has {', '.join(sorted(keys)) or 'none'}"
        yield from _mounts(workload)
    for ingress in objects.of("Ingress"):
        for tls in ingress["spec"].get("tls", []):
            if _keys(objects, "Secret", tls["secretName"], namespace_of(ingress)) is None:
                yield f"{title(ingress)} needs Secret {tls['secretName']}, which nothing makes"
    for gateway in objects.of("Gateway"):
        for listener in gateway["spec"]["listeners"]:
            for reference in listener.get("tls", {}).get("certificateRefs", []):
                if _keys(objects, "Secret", reference["name"], namespace_of(gateway)) is None:
                    yield f"{title(gateway)} needs Secret {reference['name']}, which nothing makes"


def _mentioned(workload):
    """(kind, name, key or None) of what a pod must be given. What is optional may be missing."""
    for container in workload.containers():
        for source in container.get("envFrom", []):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if field in source and not source[field].get("optional"):
                    yield kind, source[field]["name"], None
        for variable in container.get("env", []):
            value_from = variable.get("valueFrom", {})
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if field in value_from and not value_from[field].get("optional"):
                    yield kind, value_from[field]["name"], value_from[field]["key"]
    for volume in workload.spec.get("volumes", []):
        for source in [volume] + volume.get("projected", {}).get("sources", []):
            config, secret = source.get("configMap"), source.get("secret")
            if config and not config.get("optional"):
                yield from (("ConfigMap", config["name"], key) for key in _items(config))
            if secret and not secret.get("optional"):
                name = secret.get("secretName") or secret["name"]
                yield from (("Secret", name, key) for key in _items(secret))


def _items(source):
    return [item["key"] for item in source.get("items", [])] or [None]


def _mounts(workload):
    volumes = {volume["name"] for volume in workload.spec.get("volumes", [])}
    volumes |= {claim["metadata"]["name"] for claim in workload.document["spec"].get("volumeClaimTemplates", [])}
    mounted = set()
    for container in workload.containers():
        for mount in container.get("volumeMounts", []):
            mounted.add(mount["name"])
            if mount["name"] not in volumes:
                yield f"{workload} mounts volume {mount['name']}, which it does not have"
    for unused in sorted(volumes - mounted):
        yield f"{workload} has volume {unused}, which nothing mounts"


def _variables(objects):
    """`$(NAME)` in a variable stands for one that is defined before it; else it stays as it is written."""
    for workload in objects.workloads():
        for container in workload.containers():
            known = set()
            for variable in container.get("env", []):
                for name in sorted(set(REFERENCE.findall(str(variable.get("value", "")))) - known):
                    yield f"{workload}, {variable['name']}: $({name}) is not defined before it"
                known.add(variable["name"])


def _accounts(objects):
    classes = {o["metadata"]["name"] for o in objects.of("PriorityClass")} | {
        "system-cluster-critical",
        "system-node-critical",
    }
    for workload in objects.workloads():
        account = workload.spec.get("serviceAccountName")
        if not account:
            yield f"{workload} names no service account"
        elif not objects.find("ServiceAccount", account, workload.namespace):
            yield f"{workload} runs as ServiceAccount {account}, which does not exist"
        priority = workload.spec.get("priorityClassName")
        if priority and priority not in classes:
            yield f"{workload} has PriorityClass {priority}, which does not exist"
    for binding in objects.of("RoleBinding", "ClusterRoleBinding"):
        for subject in binding.get("subjects", []):
            namespace = subject.get("namespace", namespace_of(binding))
            if subject["kind"] == "ServiceAccount" and not objects.find("ServiceAccount", subject["name"], namespace):
                yield f"{title(binding)} binds ServiceAccount {subject['name']}, which does not exist"
        role = binding["roleRef"]
        namespace = namespace_of(binding) if role["kind"] == "Role" else "default"
        own = role["name"].startswith("system:") or (namespace, role["name"]) in OF_KUBERNETES
        if not own and not objects.find(role["kind"], role["name"], namespace):
            yield f"{title(binding)} grants {role['kind']} {role['name']}, which does not exist"


def _jobs(objects):
    """A Job cannot be changed: another image is another Job, by its name."""
    for job in objects.of("Job"):
        for container in job["spec"]["template"]["spec"]["containers"]:
            version = container["image"].rpartition(":")[2].partition("-")[0].replace(".", "-")
            if not re.search(rf"-{re.escape(version)}[a-z]?$", job["metadata"]["name"]):
                yield f"{title(job)} runs {container['image']}, and its name does not end in the version"


def _hosts(objects):
    """Every `NAME.svc.cluster.local:PORT` in a variable, a ConfigMap or a Secret leads to a port of a Service."""
    for owner, namespace, text in _texts(objects):
        for scheme, host, port in IN_CLUSTER.findall(text.replace("$(POD_NAMESPACE)", namespace)):
            if "$" in host:
                continue  # its own name, which is the StatefulSet's to keep
            wanted = int(port) if port else 80 if scheme == "http://" else None
            problem = _unreachable(objects, host, wanted)
            if problem:
                yield f"{owner} names {host}:{wanted}, {problem}"
        # Hosts with a port and a short name.
        for host, port in SHORT.findall(text):
            if host not in LOCAL and not objects.find("Service", host, namespace):
                yield f"{owner} names {host}:{port}, a host that nothing makes"


def _poolers(objects):
    """Who goes by a pooler knows it: what he sets for a session is another's."""
    names = {pooler["metadata"]["name"] for pooler in objects.of("Pooler")}
    for owner, _, text in _texts(objects):
        for host in re.findall(r"postgres(?:ql)?://.*?@([\w-]+)", text):
            if host in names and "statement-cache-capacity=0" not in text:
                yield f"{owner} goes by the pooler {host} without statement-cache-capacity=0"


def _texts(objects):
    for workload in objects.workloads():
        for container in workload.containers():
            for variable in container.get("env", []):
                yield f"{workload}, {variable['name']}", workload.namespace, str(variable.get("value", ""))
            for argument in container.get("args", []) + container.get("command", []):
                yield f"{workload}, its command", workload.namespace, argument
    for config in objects.of("ConfigMap", "Secret"):
        if namespace_of(config) != "ad-platform":
            continue  # dashboards and rules speak of hosts in templates
        for key, value in {**(config.get("data") or {}), **(config.get("stringData") or {})}.items():
            if not key.endswith(".sh"):
                yield f"{title(config)}, {key}", namespace_of(config), str(value)
    for external in objects.of("ExternalSecret"):
        template = external["spec"].get("target", {}).get("template", {}).get("data", {})
        for key, value in template.items():
            yield f"{title(external)}, {key}", namespace_of(external), value


def _unreachable(objects, host, port):
    labels = host.removesuffix(".svc.cluster.local").split(".")
    if len(labels) not in (2, 3):
        return "which is neither a Service nor a pod of one"
    service = objects.find("Service", labels[-2], labels[-1])
    if not service:
        return "a host that nothing makes"
    if len(labels) == 3 and service["spec"].get("clusterIP") != "None":
        return f"and Service {labels[-2]} is not headless"
    ports = [p["port"] for p in service["spec"]["ports"]]
    return None if port is None or port in ports else f"and Service {labels[-2]} has {ports} alone"


def _custom(objects):
    """What objects of operators name: secrets with their keys, and each other."""
    for owner, name, keys in _custom_secrets(objects):
        known = _keys(objects, "Secret", name, namespace_of(owner))
        if known is None:
            yield f"{title(owner)} needs Secret {name}, which nothing makes"
        for key in sorted(set(keys) - (known or set(keys))):
            yield f"{title(owner)} reads key {key} of Secret {name}, which has {', '.join(sorted(known)) or 'none'}"
    for owner, kind, name in _custom_objects(objects):
        if not objects.find(kind, name, namespace_of(owner)):
            yield f"{title(owner)} names {kind} {name}, which does not exist"


def _custom_secrets(objects):
    for cluster in objects.of("Cluster"):
        secret = cluster["spec"].get("bootstrap", {}).get("initdb", {}).get("secret")
        if secret:
            yield cluster, secret["name"], ["username", "password"]
    for store in objects.of("ObjectStore"):
        for reference in store["spec"]["configuration"].get("s3Credentials", {}).values():
            yield store, reference["name"], [reference["key"]]
    for user in objects.of("KafkaUser"):
        reference = user["spec"]["authentication"].get("password", {}).get("valueFrom", {}).get("secretKeyRef")
        if reference:
            yield user, reference["name"], [reference["key"]]


def _custom_objects(objects):
    for external in objects.of("ExternalSecret"):
        yield external, external["spec"]["secretStoreRef"]["kind"], external["spec"]["secretStoreRef"]["name"]
    for store in objects.of("SecretStore"):
        account = store["spec"]["provider"].get("vault", {}).get("auth", {}).get("kubernetes", {}).get("serviceAccountRef")
        if account:
            yield store, "ServiceAccount", account["name"]
    for certificate in objects.of("Certificate"):
        yield certificate, certificate["spec"]["issuerRef"]["kind"], certificate["spec"]["issuerRef"]["name"]
    for cluster in objects.of("Cluster"):
        for plugin in cluster["spec"].get("plugins", []):
            yield cluster, "ObjectStore", plugin["parameters"]["barmanObjectName"]
    for owned in objects.of("ScheduledBackup", "Pooler"):
        yield owned, "Cluster", owned["spec"]["cluster"]["name"]
    for owned in objects.of("KafkaNodePool", "KafkaUser"):
        yield owned, "Kafka", owned["metadata"]["labels"]["strimzi.io/cluster"]
    for issuer in objects.of("Issuer"):
        for solver in issuer["spec"]["acme"]["solvers"]:
            for parent in solver["http01"].get("gatewayHTTPRoute", {}).get("parentRefs", []):
                yield issuer, "Gateway", parent["name"]
