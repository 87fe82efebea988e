"""What the charts must render beside what agree.py compares: values as the pipeline gives them, canaries, and what is refused.

    render.py FOLDER     helm and kubectl in PATH; writes what was rendered to FOLDER, for a schema check; exit 1 when a case fails
"""

import pathlib
import subprocess
import sys

import yaml
from agree import HERE, KUBERNETES, NAMESPACE, SERVICES

# A case that must be refused: what is set, and a word of the reason that must be told.
REFUSED = [
    (["image.tag=latest"], "tag"),
    (["image.tag=1234567"], "tag"),
    (["image.digest=sha256:short"], "digest"),
    (["environment=prod"], "environment"),
    (["replicas=-1"], "replicas"),
    (["replicas=500"], "at most"),
    (["replicaCounts=5"], "replicaCounts"),
    (["resources.limits=null"], "limits"),
    (["resources.requests.cpu=half"], "cpu"),
    (["settings.REDIS_PASSWORD=hunter2"], "REDIS_PASSWORD"),
    (["settings.log_level=info"], "log_level"),
    (["secrets.X.name=some-secret"], "key"),
    (["autoscaling.minReplicas=0"], "minReplicas"),
    (["service.port=99999"], "port"),
    (["canary.enabled=true"], "release of its own"),
    (["ingress.enabled=true"], "ingress"),
]


def template(service, *arguments, release=None, environment="production"):
    values = [HERE / f"values-{environment}.yaml", HERE / service / f"values-{environment}.yaml"] if environment else []
    flags = [flag for file in values for flag in ("--values", str(file))]
    command = ["helm", "template", release or service, str(HERE / service), "--namespace", NAMESPACE, "--kube-version", KUBERNETES]
    return subprocess.run([*command, *flags, *arguments], capture_output=True, text=True, check=False)


def settings(*pairs):
    return [flag for pair in pairs for flag in ("--set", pair)]


def objects(done):
    if done.returncode:
        sys.exit(done.stderr)
    return {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(done.stdout) if o}


def refused():
    for pairs, word in REFUSED:
        done = template("campaign-service", *settings(*pairs))
        if not done.returncode:
            yield f"{pairs} was taken"
        elif word not in done.stderr:
            yield f"{pairs} was refused for another reason: {done.stderr.strip()}"


def pipelines_words(service):
    """`--set` as the document's own pipeline does it."""
    made = objects(template(service, *settings("image.tag=0f3c9a", "environment=production", "replicas=5", "image.registry=r.example")))
    deployment = made["Deployment", service]
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    if image != f"r.example/adplatform/{service}:0f3c9a":
        yield f"{service}: image.tag and image.registry gave {image}"
    floor = made["HorizontalPodAutoscaler", f"{service}-hpa"]["spec"]["minReplicas"]
    if floor < 5 or "replicas" in deployment["spec"]:
        yield f"{service}: replicas=5 gave a floor of {floor} and replicas {deployment['spec'].get('replicas')}"
    alone = objects(template(service, *settings("autoscaling.enabled=false", "replicas=7")))
    if ("HorizontalPodAutoscaler", f"{service}-hpa") in alone or alone["Deployment", service]["spec"].get("replicas") != 7:
        yield f"{service}: without an autoscaler replicas=7 is not what there is"


def canaries(service):
    """A canary's pods stand behind the stable Service, and it brings nothing that the stable release has."""
    stable = objects(template(service))
    canary = objects(template(service, *settings("canary.enabled=true", "canary.replicas=2"), release=f"{service}-canary"))
    if shared := stable.keys() & canary.keys():
        yield f"{service}: both releases have {sorted(shared)}"
    deployment = canary["Deployment", f"{service}-canary"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    if not stable["Service", service]["spec"]["selector"].items() <= labels.items():
        yield f"{service}: the Service does not reach the canary's pods"
    if deployment["selector"]["matchLabels"].items() <= stable["Deployment", service]["spec"]["template"]["metadata"]["labels"].items():
        yield f"{service}: the canary selects the stable pods"
    if deployment["replicas"] != 2:
        yield f"{service}: canary.replicas=2 gave {deployment['replicas']}"


def nothing_twice(environment):
    """What kustomize applies before the charts is none of theirs, and has what they mention."""
    done = subprocess.run(["kubectl", "kustomize", str(HERE / "shared" / environment)], capture_output=True, text=True, check=False)
    shared = objects(done)
    for service in SERVICES:
        made = objects(template(service, environment=environment))
        for kind, name in sorted(made.keys() & shared.keys()):
            yield f"{environment}: {kind} {name} is in the chart and in k8s/helm/shared/{environment}"
        pod = made["Deployment", service]["spec"]["template"]["spec"]
        if ("PriorityClass", pod["priorityClassName"]) not in shared:
            yield f"{environment}: no PriorityClass {pod['priorityClassName']} for {service}"
        for variable in pod["containers"][0]["env"]:
            secret = variable.get("valueFrom", {}).get("secretKeyRef")
            if secret and not secret.get("optional") and ("ExternalSecret", secret["name"]) not in shared:
                yield f"{environment}: nothing makes secret {secret['name']} for {service}"


def write(folder):
    """Every way to render a chart, hooks too, one file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for service in SERVICES:
        for environment in ("staging", "production"):
            done = template(service, environment=environment)
            objects(done)
            (folder / f"{service}-{environment}.yaml").write_text(done.stdout, encoding="utf-8")
        canary = template(service, *settings("canary.enabled=true"), release=f"{service}-canary")
        (folder / f"{service}-canary.yaml").write_text(canary.stdout, encoding="utf-8")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(pathlib.Path(sys.argv[1]))
    found = list(refused())
    for service in SERVICES:
        found += [*pipelines_words(service), *canaries(service)]
    for environment in ("staging", "production"):
        found += nothing_twice(environment)
    print("\n".join(found) or f"ok: {len(REFUSED)} refusals, pipeline's values, canaries, nothing twice")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
