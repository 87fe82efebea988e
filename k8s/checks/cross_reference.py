"""Reads rendered objects from stdin and says every name, port, path, metric, host and key that dangles.

    { kubectl kustomize k8s/overlays/production; echo ---; kubectl kustomize k8s/overlays/production/monitoring; } |
        python3 k8s/checks/cross_reference.py

The platform and what watches it name each other: both at once. A laptop's secrets are in no file: append what
`k8s/overlays/local/secrets.sh --print` and `k8s/monitoring/secrets.sh --print` say.
"""

import pathlib
import sys

import metrics
import names
import paths
import scraped
import settings
from objects import Objects

ROOT = pathlib.Path(__file__).resolve().parents[2]


def mistakes(objects):
    """Everything that dangles."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    exported = metrics.exported(ROOT / "k8s/monitoring/metrics.json")
    yield from names.mistakes(objects)
    yield from paths.mistakes(objects)
    yield from metrics.mistakes(objects, exported)
    yield from scraped.mistakes(objects)
    yield from settings.mistakes(objects, settings.known(readme))


def main():
    found = sorted(set(mistakes(Objects.read(sys.stdin.read()))))
    for mistake in found:
        print(mistake)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
