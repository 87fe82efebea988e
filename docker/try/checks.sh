# shellcheck shell=bash
# What an image must be, asked of the image and of a container. Sourced after daemon.sh.
CHECKS_FAILED=0

# holds WHAT COMMAND...: one line a check.
holds() {
    local what=$1
    shift
    if "$@"; then
        echo "ok: $what"
    else
        CHECKS_FAILED=$((CHECKS_FAILED + 1))
        echo "FAILED: $what"
    fi
}

finish_checks() {
    [ "$CHECKS_FAILED" -eq 0 ] || { echo "$CHECKS_FAILED checks failed"; return 1; }
}

# image_says IMAGE TEMPLATE WORD: of `docker image inspect`.
image_says() { [ "$(docker image inspect --format "$2" "$1")" = "$3" ]; }

# as_in_a_cluster ARGUMENT...: docker run with all that a restricted pod has taken from it. Compose adds the folders.
as_in_a_cluster() {
    docker run --read-only --cap-drop ALL --security-opt no-new-privileges --network none \
        --tmpfs /var/lib/adplatform:uid=65532,gid=65532,mode=0700 --tmpfs /var/spool/adplatform:uid=65532,gid=65532,mode=0700 "$@"
}

has_no_shell() { ! docker run --rm --network none --entrypoint /bin/sh "$1" -c true >/dev/null 2>&1; }

# Without secrets a service must say what is missing, and end: the image is not of development.
refuses_to_run_without_settings() {
    local said status=0
    said=$(as_in_a_cluster --rm "$1" 2>&1) || status=$?
    [ "$status" -eq 64 ] && grep -q ADMIN_API_KEY\\\|NOTICE_SECRET <<<"$said"
}

# runs_healthy NAME IMAGE: on the embedded store, until Docker's own health check says so; ends by SIGTERM with 0.
runs_healthy() {
    local container=try-$1 deadline=$((SECONDS + 60)) health=
    docker rm --force "$container" >/dev/null 2>&1 || true
    as_in_a_cluster --detach --name "$container" --health-interval 1s \
        --env DATABASE_URL=sqlite:/var/lib/adplatform/store.sqlite --env ADMIN_API_KEY=an-administrator-of-the-try-alone \
        --env NOTICE_SECRET=k1:a-notice-key-of-more-than-thirty-two-bytes --env PUBLIC_BIDDING_URL=http://127.0.0.1:8080 \
        --env SHUTDOWN_DRAIN_SECONDS=0 "$2" >/dev/null || return 1
    until [ "$health" = healthy ] || [ "$SECONDS" -ge "$deadline" ]; do
        health=$(docker inspect --format '{{.State.Health.Status}}' "$container")
        sleep 0.2
    done
    docker stop "$container" >/dev/null
    if [ "$health" != healthy ] || [ "$(docker inspect --format '{{.State.ExitCode}}' "$container")" != 0 ]; then
        echo "$container was $health, then:"
        docker logs --tail 5 "$container"
        return 1
    fi
    docker rm "$container" >/dev/null
}

small_enough() { [ "$1" -lt "$2" ]; }

# check_image NAME IMAGE LIMIT_MB
check_image() {
    local name=$1 image=$2 bytes
    bytes=$(docker image inspect --format '{{.Size}}' "$image")
    holds "$name: $((bytes / 1000000)) MB, below $3" small_enough "$bytes" $(($3 * 1000000))
    holds "$name: runs as 65532" image_says "$image" '{{.Config.User}}' 65532:65532
    holds "$name: is labelled" image_says "$image" '{{index .Config.Labels "org.opencontainers.image.title"}}' "$name"
    holds "$name: has no shell" has_no_shell "$image"
    if [ "$name" = adplatform ]; then
        holds "$name: trades for five seconds with a read-only root" \
            as_in_a_cluster --rm --tmpfs /tmp "$image" demo --duration 5s --rate 50
    else
        holds "$name: refuses to run without its secrets" refuses_to_run_without_settings "$image"
        holds "$name: healthy with a read-only root, and ends by itself" runs_healthy "$name" "$image"
    fi
}
