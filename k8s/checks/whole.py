"""Every check of names, flows and routes over what whole clusters are given.

    whole.py [--domain DOMAIN] FILE...     each file one cluster: the platform, what watches it, and its secrets
"""

import pathlib
import sys

import cross_reference
import matrix
import routes
from objects import Objects, namespace_of


def mistakes(objects, domain):
    yield from cross_reference.mistakes(objects)
    yield from routes.mistakes(objects, domain)
    if any(policy["metadata"]["name"] == "default-deny" and namespace_of(policy) == "ad-platform" for policy in objects.of("NetworkPolicy")):
        yield from matrix.mistakes(objects)


def main():
    arguments = sys.argv[1:]
    domain = arguments.pop(1) if arguments[0] == "--domain" else "adplatform.com"
    files = [argument for argument in arguments if argument != "--domain"]
    found = [f"{pathlib.Path(file).stem}: {mistake}" for file in files
             for mistake in sorted(set(mistakes(Objects.read(pathlib.Path(file).read_text(encoding="utf-8")), domain)))]
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(files)} looked at")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
