"""What our pods are given is what our binaries read."""

import re
import tomllib

from metrics import OURS
from objects import title

TABLE = re.compile(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \|", re.MULTILINE)
# Read by libraries, not by us.
LIBRARIES = {"RUST_BACKTRACE", "TOKIO_WORKER_THREADS", "CONFIG_FILE", "OTEL_RESOURCE_ATTRIBUTES"}
IMAGES = (*OURS, "adplatform")


def known(readme):
    """The settings that the README's table names."""
    return {name for row in TABLE.findall(readme) for name in re.findall(r"[A-Z_]+", row)} | LIBRARIES


def mistakes(objects, names):
    for workload in objects.workloads():
        for container in workload.containers():
            image = container["image"]
            if ":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest"):
                yield f"{workload} runs {image}, which is not pinned"
            if image.rsplit("/", 1)[-1].split(":")[0] not in IMAGES:
                continue
            for name in _given(objects, workload, container):
                # $(NAME) in a value is how Kubernetes puts one variable into another.
                used = any(f"$({name})" in str(v.get("value", "")) for v in container.get("env", []))
                if name not in names and not used:
                    yield f"{workload} is given {name}, which no binary reads"
    for config in objects.of("ConfigMap"):
        for file, text in (config.get("data") or {}).items():
            if file.endswith(".toml"):
                for name in set(tomllib.loads(text)) - names:
                    yield f"{title(config)} sets {name} in {file}, which no binary reads"
    for name in OURS:
        if not objects.find("Deployment", name, "ad-platform"):
            yield f"there is no Deployment {name}"


def _given(objects, workload, container):
    yield from (variable["name"] for variable in container.get("env", []))
    for source in container.get("envFrom", []):
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            found = field in source and objects.find(kind, source[field]["name"], workload.namespace)
            if found:
                yield from found.get("data") or {}
                yield from found.get("stringData") or {}
