#!/bin/sh
# Before a node stops: a master has a replica take its place, so that a rollout costs milliseconds of a group instead of the seconds
# until the others believe that it is dead. Ends well whatever comes of it, and in time: the pod stops anyway.
#   REDISCLI_AUTH      the password
#   REDIS_BIND         an address instead of 127.0.0.1
#   HAND_OVER_SECONDS  how long it may take (30), below the pod's grace period with Redis' own ten seconds for replicas
end=$(($(date +%s) + ${HAND_OVER_SECONDS:-30}))

# ask HOST PORT COMMAND...: a host that is gone must not take all the time.
ask() { host=$1 port=$2; shift 2; timeout 3 redis-cli -e -h "$host" -p "$port" "$@" 2>/dev/null; }
own() { ask "${REDIS_BIND:-127.0.0.1}" "${REDIS_PORT:-6379}" "$@"; }
is_replica() { own info replication | grep -q '^role:slave'; }
# Lines "host port" of those who follow this node and are alive; of `host:port@bus,name` the first two.
replicas() {
    own cluster nodes | awk -v id="$(own cluster myid)" '
        $4 == id && $3 ~ /slave/ && $3 !~ /fail|noaddr|handshake/ && $8 == "connected" {
            sub(/@.*/, "", $2); port = $2; sub(/.*:/, "", port); sub(/:[^:]*$/, "", $2); print $2, port }'
}

late() { [ "$(date +%s)" -ge "$end" ]; }

until is_replica || late; do
    replica=$(replicas | head -1)
    [ -n "$replica" ] || exit 0
    # shellcheck disable=SC2086 # a host and a port
    ask $replica cluster failover >/dev/null
    # Redis gives an attempt five seconds; then it is asked again.
    i=0
    until is_replica || late || [ "$i" -ge 30 ]; do
        i=$((i + 1))
        sleep 0.2
    done
done
exit 0
