#!/usr/bin/env python3
"""The rules as an object of the Prometheus operator. `operator_rules.py` writes it, `operator_rules.py --check` fails if it is not current."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RULES = f"{HERE}/operator/rules.yaml"
HEAD = """# Written by ../operator_rules.py from ../rules.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: adplatform
  namespace: monitoring
spec:
  groups:
"""


def groups():
    """Of every file, as they stand, a level deeper."""
    for file in sorted(os.listdir(f"{HERE}/rules")):
        lines = open(f"{HERE}/rules/{file}").read().splitlines()
        for line in lines[lines.index("groups:") + 1:]:
            yield f"  {line}".rstrip() + "\n"


def main():
    text = HEAD + "".join(groups())
    if "--check" not in sys.argv:
        open(RULES, "w").write(text)
    elif open(RULES).read() != text:
        sys.exit(f"not current, run operator_rules.py: {RULES}")


if __name__ == "__main__":
    main()
