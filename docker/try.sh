#!/usr/bin/env bash
# Builds the images and runs them as a cluster would, without a registry: a Docker daemon of its own, base images made here.
# The first run takes many minutes (every crate in release), the next ones as long as our own crates take.
#   docker/try.sh [PROGRAM...]     default: all four
#   DOCKER_BUILDKIT=1              by BuildKit instead of the classic builder
#   SOURCE=FOLDER                  another workspace of the same layout
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/tools.sh
. docker/try/daemon.sh
. docker/try/bases.sh
. docker/try/checks.sh
SOURCE=${SOURCE:-.}
LOCK=$(sha256sum "$SOURCE/Cargo.lock" | cut -c1-12)
RUST_IMAGE=local/rust:$LOCK
LIMIT_MB=60
export DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-0}
[ $# -gt 0 ] || set -- campaign-service bidding-service analytics-service adplatform

build() {
    docker build --network none --file "$SOURCE/docker/Dockerfile" --target "$1" --tag "adplatform/$1:try" \
        --build-arg RUST_IMAGE="$RUST_IMAGE" \
        --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
        "$SOURCE" >"$DOCKER_ROOT/build-$1.log" 2>&1 || { tail -30 "$DOCKER_ROOT/build-$1.log"; return 1; }
}

trap stop_daemon EXIT
start_daemon
(cd "$SOURCE" && rust_image "$RUST_IMAGE")
for program in "$@"; do
    begin=$SECONDS
    build "$program"
    echo "built: $program ($((SECONDS - begin)) s)"
done
for program in "$@"; do
    check_image "$program" "adplatform/$program:try" "$LIMIT_MB"
done
finish_checks
