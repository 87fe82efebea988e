"""Writes definitions for the kinds of builtin.py that no Go module defines here (k8s/apiserver/crds.txt names those that one does), so
that a server takes such objects: any content, since only who makes them knows more. They are named on stderr.
"""

import json
import subprocess
import sys

from builtin import CUSTOM

# Group and kind -> the version that the manifests use.
VERSIONS = {
    "barmancloud.cnpg.io": "v1",
    "external-secrets.io": "v1",
    "kafka.strimzi.io": "v1",
}


def main():
    known = subprocess.run(
        ["kubectl", "get", "crd", "--output", "jsonpath={.items[*].metadata.name}"], capture_output=True, text=True, check=True
    ).stdout.split()
    for group, kinds in CUSTOM.items():
        for kind in sorted(kinds):
            plural = f"{kind.lower()}s"
            name = f"{plural}.{group}"
            if name in known or f"{kind.lower()[:-1]}ies.{group}" in known:
                continue
            print(f"no schema: {kind} of {group}", file=sys.stderr)
            print("---")
            print(json.dumps({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
                "spec": {"group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                         "versions": [{"name": VERSIONS[group], "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                             "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}))


if __name__ == "__main__":
    main()
