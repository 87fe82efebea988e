#!/usr/bin/env bash
# Runs what the StatefulSets run, as plain processes on addresses of 127.0.0.0/8: the same scripts, settings and commands, with what
# Kubernetes would give them (names, addresses, zones, a service account's token) given here. PostgreSQL's Patroni keeps its state in
# a real API server, under the Role of access.yaml.
#   k8s/components/data-plain/try.sh [redis|kafka|postgres]...     default: all three
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/tools.sh
. docker/try/checks.sh
HERE=k8s/components/data-plain
DIR=$(mktemp -d)
declare -A PID=()
PARTS=("$@")
[ $# -gt 0 ] || PARTS=(redis kafka postgres)

# start NAME COMMAND...: in the background, its words in NAME.log.
start() {
    local name=$1
    shift
    "$@" >>"$DIR/$name.log" 2>&1 &
    PID[$name]=$!
}

# kill_hard NAME...: as if the power had failed.
kill_hard() {
    local name
    for name in "$@"; do
        [ -n "${PID[$name]:-}" ] || continue
        kill -KILL "${PID[$name]}" 2>/dev/null || true
        wait "${PID[$name]}" 2>/dev/null || true # it was killed
        unset "PID[$name]"
    done
}

# within SECONDS COMMAND...: until it holds.
within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.3
    done
}

end() {
    local status=$? part
    set +e # servers end even where nobody reads what is said
    trap '' PIPE
    for part in "${PARTS[@]}"; do
        ! declare -F "end_$part" >/dev/null || "end_$part"
    done
    if [ "$status" -ne 0 ]; then
        for part in "$DIR"/*.log; do echo "--- ${part##*/}"; tail -8 "$part"; done
    fi
    rm -rf "$DIR"
}
trap end EXIT

for part in "${PARTS[@]}"; do
    # shellcheck source=/dev/null
    . "$HERE/try/$part.sh"
    "try_$part"
done
finish_checks
