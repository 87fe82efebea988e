"""Reads objects from stdin, writes those of Kubernetes itself to stdout: what a schema check knows.

Kinds of operators are named here; one that is not is a mistake. What they mention is checked by cross_reference.py, and the
definitions that k8s/apiserver/crds.txt names are applied by k8s/try.sh.
"""

import sys

import yaml

CUSTOM = {
    "cert-manager.io": {"Certificate", "Issuer"},
    "barmancloud.cnpg.io": {"ObjectStore"},
    "external-secrets.io": {"ExternalSecret", "SecretStore"},
    "gateway.networking.k8s.io": {"BackendTLSPolicy", "Gateway", "HTTPRoute"},
    "monitoring.coreos.com": {"PodMonitor", "PrometheusRule"},
    "kafka.strimzi.io": {"Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser"},
    "postgresql.cnpg.io": {"Cluster", "Pooler", "ScheduledBackup"},
}


def main():
    kept, unknown = [], set()
    for document in yaml.safe_load_all(sys.stdin):
        group = document["apiVersion"].rpartition("/")[0]
        if "." not in group or group.endswith(".k8s.io") and group not in CUSTOM:
            kept.append(document)
        elif document["kind"] not in CUSTOM.get(group, ()):
            unknown.add(f"{group} {document['kind']}")
    for kind in sorted(unknown):
        print(f"{kind} is in no list of kinds", file=sys.stderr)
    yaml.safe_dump_all(kept, sys.stdout)
    sys.exit(1 if unknown else 0)


if __name__ == "__main__":
    main()
