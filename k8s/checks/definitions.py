"""Writes JSON schemas for kubeconform: of Kubernetes' own kinds, as kubernetes-validate ships them, and of the custom resources whose
definitions Go modules carry (k8s/apiserver/crds.txt).

    definitions.py FOLDER VERSION      such as 1.36; go in PATH; prints how many
"""

import fnmatch
import json
import pathlib
import subprocess
import sys

import kubernetes_validate
import yaml
from builtin import CUSTOM

ROOT = pathlib.Path(__file__).resolve().parents[2]


def builtin(folder, version):
    """Each file whole but for the place where the parts are that all share."""
    source = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    shared = (folder / "_definitions.json").as_uri()
    count = 0
    for file in source.glob("*.json"):
        text = file.read_text(encoding="utf-8").replace("/api/_definitions.json", "" if file.name == "_definitions.json" else shared)
        (folder / file.name).write_text(text, encoding="utf-8")
        count += 1
    return count


def strict(schema):
    """What a definition does not name is a mistake, as the API server's strict mode has it."""
    if isinstance(schema, dict):
        if "properties" in schema and "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema["additionalProperties"] = False
        if schema.pop("nullable", False) and "type" in schema:
            schema["type"] = [schema["type"], "null"]
        if schema.pop("x-kubernetes-int-or-string", False):
            schema.pop("type", None)
            schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
        for key, value in schema.items():
            if key not in ("default", "enum", "example"):
                strict(value)
    elif isinstance(schema, list):
        for value in schema:
            strict(value)
    return schema


def custom(folder):
    count = 0
    for line in (ROOT / "k8s/apiserver/crds.txt").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        module, version, place, pattern = line.split()
        done = subprocess.run(["go", "mod", "download", "-json", f"{module}@{version}"], cwd=ROOT / "k8s/apiserver",
                              capture_output=True, text=True, check=True)
        for file in sorted((pathlib.Path(json.loads(done.stdout)["Dir"]) / place).glob("*.yaml")):
            text = file.read_text(encoding="utf-8")
            # Thousands of lines each: those that nobody here uses are not read.
            if not fnmatch.fnmatch(file.name, pattern) or not any(f"kind: {kind}\n" in text for kinds in CUSTOM.values() for kind in kinds):
                continue
            for definition in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
                if definition and definition["kind"] == "CustomResourceDefinition":
                    count += write(folder, definition["spec"])
    return count


def write(folder, spec):
    kind, group = spec["names"]["kind"].lower(), spec["group"].split(".")[0]
    for version in spec["versions"]:
        schema = strict(version["schema"]["openAPIV3Schema"])
        # Of what every object has the definition says nothing.
        schema["properties"]["metadata"] = {"type": "object"}
        (folder / f"{kind}-{group}-{version['name']}.json").write_text(json.dumps(schema), encoding="utf-8")
    return len(spec["versions"])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{builtin(folder, sys.argv[2])} of Kubernetes, {custom(folder)} of others")


if __name__ == "__main__":
    main()
