#!/usr/bin/env bash
# Brings compose.yaml up on a Docker daemon of its own, with images made here, trades on it and breaks it: Redis formed twice, all
# six nodes killed at once, the whole stopped and started again. Grafana is left out: no Debian package has it.
# Wants the images that docker/try.sh makes.
#   docker/try-compose.sh [SERVICE...]     default: everything; with names, only whether these become healthy
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/tools.sh
. docker/try/daemon.sh
. docker/try/bases.sh
. docker/try/checks.sh
export COMPOSE_PROJECT_NAME=adplatform-try DOCKER_BUILDKIT=0
export POSTGRES_IMAGE=adplatform/postgres:try REDIS_IMAGE=local/servers KAFKA_IMAGE=local/servers PROMETHEUS_IMAGE=local/servers
export ADPLATFORM_IMAGE=adplatform/adplatform:try CAMPAIGN_SERVICE_IMAGE=adplatform/campaign-service:try
export BIDDING_SERVICE_IMAGE=adplatform/bidding-service:try ANALYTICS_SERVICE_IMAGE=adplatform/analytics-service:try
REDIS_NODES=(redis-0 redis-1 redis-2 redis-3 redis-4 redis-5)

up() { docker_compose up --detach --no-build --pull never --wait --wait-timeout 300 "$@" >"$DOCKER_ROOT/compose.log" 2>&1; }

end() {
    local status=$?
    [ "$status" -eq 0 ] || tail -15 "$DOCKER_ROOT/compose.log" || true
    [ "$status" -eq 0 ] || docker_compose logs --tail 15 2>/dev/null | grep -v ' | $' | tail -60 || true
    docker_compose --profile '*' down --volumes --timeout 20 >/dev/null 2>&1 || true
    stop_daemon
}

redis() { docker_compose exec -T "$1" redis-cli "${@:2}" | tr -d '\r'; }
form_again() { docker_compose run --rm -T --no-deps redis-cluster-init 2>/dev/null | grep -q 'is whole'; }

# Each replica's zone beside its master's: no two the same.
replicas_are_elsewhere() {
    local node master
    for node in "${REDIS_NODES[@]}"; do
        [ "$(redis "$node" role | head -1)" = slave ] || continue
        master=$(redis "$node" role | sed -n 2p)
        echo "   $node ($(redis "$node" config get syslog-ident | sed -n 2p)) follows $master"
        [ "$(redis "$node" config get syslog-ident | sed -n 2p)" != "$(zone_at "$master")" ] || return 1
    done
}

# The address's last number tells the node (compose.yaml gives it), the node its zone.
zone_at() { redis "redis-$((${1##*.} - 11))" config get syslog-ident | sed -n 2p; }

cluster_is_ok() {
    local deadline=$((SECONDS + 60))
    until redis redis-0 cluster info 2>/dev/null | grep -q cluster_slots_ok:16384 && redis redis-0 cluster info | grep -q cluster_state:ok; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.5
    done
}

redis_heals() {
    docker_compose kill "${REDIS_NODES[@]}" >/dev/null 2>&1
    up "${REDIS_NODES[@]}" && cluster_is_ok
}

# Every client of before is still connected to what was.
trades() { DEMO_SECONDS=${1:-20} docker_compose --profile demo run --rm -T exchange 2>/dev/null; }
is_watched() { in_daemon_network curl -fsS "http://127.0.0.1:9090/api/v1/query?query=sum(up)" | grep -q '"3"'; }
starts_again() { docker_compose stop --timeout 30 >/dev/null 2>&1 && up "${ALL[@]}"; }

trap end EXIT
start_daemon
servers_image local/servers
docker build --quiet --network none --file docker/postgres.Dockerfile --build-arg BASE_IMAGE=local/servers --tag adplatform/postgres:try \
    docker >"$DOCKER_ROOT/compose.log" 2>&1
if [ $# -gt 0 ]; then
    holds "healthy: $*" up "$@"
    finish_checks
    exit
fi
mapfile -t ALL < <(docker_compose config --services | grep -v grafana)
begin=$SECONDS
holds "everything becomes healthy" up "${ALL[@]}"
echo "   after $((SECONDS - begin)) s"
holds "redis: forming it a second time changes nothing" form_again
holds "redis: replicas are in other zones than their masters" replicas_are_elsewhere
holds "the demo exchange trades, and report and notices agree" trades
holds "prometheus sees the three services" is_watched
holds "redis: all six killed at once heal" redis_heals
holds "the demo exchange trades after that" trades
holds "all of it stops and starts again" starts_again
holds "the demo exchange trades after that too" trades
finish_checks
