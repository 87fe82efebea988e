"""What controllers of the cluster make of custom objects: pods, Services and Secrets, as the objects they would be."""

SECRET_OF_CLUSTER = {"ca.crt", "ca.key"}


def made_by_controllers(documents):
    makers = {
        "ExternalSecret": _external_secret,
        "Certificate": _certificate,
        "Issuer": _issuer,
        "Cluster": _postgres,
        "Pooler": _pooler,
        "Kafka": _kafka,
        "KafkaNodePool": _kafka_nodes,
    }
    for document in documents:
        if document["kind"] in makers:
            yield from makers[document["kind"]](document)


def _external_secret(external):
    target = external["spec"].get("target", {})
    name = target.get("name", external["metadata"]["name"])
    templated = (target.get("template") or {}).get("data")
    keys = templated or [item["secretKey"] for item in external["spec"].get("data", [])]
    yield _secret(external, name, keys)


def _certificate(certificate):
    yield _secret(certificate, certificate["spec"]["secretName"], {"tls.crt", "tls.key", "ca.crt"})


def _issuer(issuer):
    """Pods that answer a challenge, for as long as it lasts."""
    yield _pod(issuer, "acme-challenge", {"app": "acme-challenge", "acme.cert-manager.io/http01-solver": "true"}, [8089])


def _postgres(cluster):
    name = cluster["metadata"]["name"]
    yield _secret(cluster, f"{name}-ca", SECRET_OF_CLUSTER)
    labels = {"cnpg.io/cluster": name, **cluster["spec"].get("inheritedMetadata", {}).get("labels", {})}
    yield _pod(cluster, name, labels, [5432, 8000, 9187])
    for end in ("rw", "ro", "r"):
        yield _service(cluster, f"{name}-{end}", labels, [5432])
    for additional in cluster["spec"].get("managed", {}).get("services", {}).get("additional", []):
        yield _service(cluster, additional["serviceTemplate"]["metadata"]["name"], labels, [5432])


def _pooler(pooler):
    name = pooler["metadata"]["name"]
    template = pooler["spec"].get("template", {}).get("metadata", {})
    labels = {"cnpg.io/poolerName": name, **template.get("labels", {})}
    yield _pod(pooler, name, labels, [5432, 9127])
    yield _service(pooler, name, labels, [5432])


def _kafka(kafka):
    name, spec = kafka["metadata"]["name"], kafka["spec"]
    yield _secret(kafka, f"{name}-cluster-ca-cert", {"ca.crt", "ca.p12", "ca.password"})
    ports = [listener["port"] for listener in spec["kafka"]["listeners"]]
    yield _service(kafka, f"{name}-kafka-bootstrap", {"strimzi.io/cluster": name}, ports)
    entity_operator = spec.get("entityOperator")
    if entity_operator:
        template = entity_operator.get("template", {}).get("pod", {}).get("metadata", {})
        yield _pod(kafka, f"{name}-entity-operator", template.get("labels", {}), [8081])


def _kafka_nodes(pool):
    cluster = pool["metadata"]["labels"]["strimzi.io/cluster"]
    template = pool["spec"].get("template", {}).get("pod", {}).get("metadata", {})
    labels = {"strimzi.io/cluster": cluster, "strimzi.io/pool-name": pool["metadata"]["name"], **template.get("labels", {})}
    yield _pod(pool, f'{cluster}-{pool["metadata"]["name"]}', labels, [8443, 9090, 9091, 9092])


def _metadata(owner, name):
    return {"name": name, "namespace": owner["metadata"].get("namespace", "default")}


def _secret(owner, name, keys):
    return {"kind": "Secret", "metadata": _metadata(owner, name), "data": {key: "" for key in keys}}


def _service(owner, name, selector, ports):
    spec = {"selector": selector, "ports": [{"port": port, "targetPort": port} for port in ports]}
    return {"kind": "Service", "metadata": _metadata(owner, name), "spec": spec}


def _pod(owner, name, labels, ports):
    containers = [{"name": name, "image": "", "ports": [{"containerPort": port} for port in ports]}]
    return {"kind": "Pod", "metadata": {**_metadata(owner, name), "labels": labels}, "spec": {"containers": containers}}
