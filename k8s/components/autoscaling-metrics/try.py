"""try.sh's part that looks: try.py FOLDER PROMETHEUS_PORT ADAPTER_PORT, with FOLDER/rendered.yaml and FOLDER/pids, KUBECONFIG set."""

import json
import pathlib
import subprocess
import sys
import time

import yaml

# Requests a second of each pod, as recorded: as many pods as the autoscaler's least, each with 1.6 times what it should have.
RATES = {
    "campaign-service": ("http_requests", {f"campaign-service-{n}": 120 + 40 * n for n in range(3)}),
    "bidding-service": ("bid_requests", {f"bidding-service-{n}": 700 + 50 * n for n in range(5)}),
}
# What follows: 3 and 5 times 1.6, a whole one more.
SCALED_TO = {"campaign-service": 5, "bidding-service": 8}
# Kubernetes' autoscaler, and how its group is called.
SCALER = ("--as=system:serviceaccount:kube-system:horizontal-pod-autoscaler", "--as-group=system:serviceaccounts", "--as-group=system:authenticated")
PATIENCE_S = 120


def kubectl(*arguments, given=None):
    done = subprocess.run(["kubectl", *arguments], input=given, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def apply(documents):
    if kubectl("apply", "-f", "-", given=yaml.safe_dump_all(documents)) is None:
        sys.exit("FAILED: the objects are not taken")


def wait(what, ready):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := ready():
            print(f"ok: {what}", flush=True)
            return found
        time.sleep(0.5)
    sys.exit(f"FAILED: {what}")


def start(folder, name, *command):
    with open(folder / f"{name}.log", "wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
    with open(folder / "pids", "a", encoding="utf-8") as pids:
        print(child.pid, file=pids)


def record(folder):
    """Ten minutes before now and after it, as a scrape every 15 s would have kept them, and a pod of another namespace."""
    now, lines = int(time.time()), []
    for service, (family, pods) in RATES.items():
        lines.append(f"# TYPE {family} counter")
        for namespace, of_pods in (("ad-platform", pods), ("other", {f"{service}-z": 5000})):
            for pod, rate in of_pods.items():
                labels = f'namespace="{namespace}",pod="{pod}",service="{service}"'
                lines += [f"{family}_total{{{labels}}} {rate * second} {now + second - 600}" for second in range(0, 1200, 15)]
    (folder / "series").write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "series", folder / "prometheus"], check=True,
                   capture_output=True)


def here(document, port):
    """No kube-proxy is there: the Service stands for this machine."""
    if document["kind"] == "APIService":
        document["spec"]["service"]["port"] = port
    if document["kind"] == "Service" and document["metadata"]["name"] == "prometheus-adapter":
        document["spec"] = {"type": "ExternalName", "externalName": "localhost"}
    return document


def pods(documents):
    for document in documents:
        if document["kind"] == "Deployment" and document["metadata"]["name"] in RATES:
            service, template = document["metadata"]["name"], document["spec"]["template"]
            for name in RATES[service][1]:
                yield {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
                       "metadata": {"name": name, "namespace": "ad-platform", "labels": template["metadata"]["labels"]}}


def adapter(folder, documents, prometheus_port, port):
    """As the Deployment starts it, with its configuration and as its account, but for addresses."""
    pod = next(d for d in documents if d["kind"] == "Deployment" and d["metadata"]["name"] == "prometheus-adapter")["spec"]["template"]["spec"]
    volume = next(v for v in pod["volumes"] if "configMap" in v)["configMap"]["name"]
    config = next(d for d in documents if d["kind"] == "ConfigMap" and d["metadata"]["name"] == volume)
    (folder / "adapter.yaml").write_text(config["data"]["adapter.yaml"], encoding="utf-8")
    kubeconfig = yaml.safe_load((folder / "kubeconfig").read_text(encoding="utf-8"))
    token = kubectl("create", "token", pod["serviceAccountName"], "--namespace", "ad-platform").strip()
    kubeconfig["users"][0]["user"] = {"token": token}
    (folder / "adapter.kubeconfig").write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
    own = {"--config": folder / "adapter.yaml", "--prometheus-url": f"http://127.0.0.1:{prometheus_port}/", "--secure-port": port,
           "--cert-dir": folder}
    arguments = [argument.split("=", 1) for argument in pod["containers"][0]["args"]]
    start(folder, "adapter", "adapter", *(f"{name}={own.get(name, value)}" for name, value in arguments),
          *(f"--{of}-kubeconfig={folder / 'adapter.kubeconfig'}" for of in ("lister", "authentication", "authorization")))


def scale(folder):
    """Kubernetes' autoscaler with the rights it has in a cluster. Nobody runs pods here: they are said to run."""
    for service, (_, names) in RATES.items():
        kubectl("patch", "deployment", service, "--namespace=ad-platform", "--type=merge", f'--patch={{"spec":{{"replicas":{len(names)}}}}}')
        kubectl("patch", "deployment", service, "--namespace=ad-platform", "--subresource=status", "--type=merge",
                f'--patch={{"status":{{"replicas":{len(names)}}}}}')
        for name in names:
            kubectl("patch", "pod", name, "--namespace=ad-platform", "--subresource=status", "--type=merge",
                    '--patch={"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}')
    start(folder, "autoscaler", "kube-controller-manager", f"--kubeconfig={folder}/kubeconfig", "--leader-elect=false",
          "--controllers=horizontal-pod-autoscaler-controller", "--use-service-account-credentials", "--secure-port=0",
          "--horizontal-pod-autoscaler-sync-period=2s")
    for service, wanted in SCALED_TO.items():
        wait(f"{service} is scaled from {len(RATES[service][1])} to {wanted}", lambda service=service, wanted=wanted: kubectl(
            "get", "deployment", service, "--namespace=ad-platform", "--output=jsonpath={.spec.replicas}") == str(wanted))


def number(quantity):
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def ask(service, metric, *who):
    answer = kubectl("get", *who, "--raw", f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/ad-platform/pods/*/{metric}?labelSelector=app%3D{service}")
    return answer and {item["describedObject"]["name"]: number(item["value"]) for item in json.loads(answer)["items"]}


def main():
    folder, prometheus_port, port = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    documents = [d for d in yaml.safe_load_all((folder / "rendered.yaml").read_text(encoding="utf-8")) if d]
    apply([here(document, port) for document in documents])
    apply(list(pods(documents)))
    record(folder)
    (folder / "prometheus.yml").write_text("{}\n", encoding="utf-8")
    start(folder, "prometheus", "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus",
          f"--web.listen-address=127.0.0.1:{prometheus_port}", "--storage.tsdb.retention.time=30d")
    adapter(folder, documents, prometheus_port, port)
    try:
        wait("the API server takes the adapter for custom.metrics.k8s.io", lambda: kubectl(
            "wait", "--for=condition=Available", "--timeout=2s", "apiservice/v1beta1.custom.metrics.k8s.io"))
        for scaler in [d for d in documents if d["kind"] == "HorizontalPodAutoscaler"]:
            service = scaler["spec"]["scaleTargetRef"]["name"]
            for metric in [m["pods"]["metric"]["name"] for m in scaler["spec"]["metrics"] if m["type"] == "Pods"]:
                wanted = RATES[service][1]

                def right(service=service, metric=metric, wanted=wanted):
                    found = ask(service, metric, *SCALER) or {}
                    return found.keys() == wanted.keys() and all(abs(found[pod] / wanted[pod] - 1) < 0.01 for pod in wanted) and found

                print(f"    {wait(f'{metric} is one value a pod of {service}, as recorded', right)}")
        if ask("bidding-service", "bid_requests_per_second", "--as=somebody") is not None:
            sys.exit("FAILED: somebody without a role is answered")
        print("ok: somebody without a role is not answered")
        scale(folder)
    except SystemExit:
        for log in sorted(folder.glob("*.log")):
            print(f"== {log.stem}", log.read_text(encoding="utf-8")[-3000:], sep="\n")
        print(kubectl("describe", "apiservice", "v1beta1.custom.metrics.k8s.io"))
        raise


if __name__ == "__main__":
    main()
