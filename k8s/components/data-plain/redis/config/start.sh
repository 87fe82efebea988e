#!/bin/sh
# Starts one node. What it is told by the environment goes into a file in memory, so that no password stands in a process list.
#   REDIS_PASSWORD   of clients and between nodes
#   ANNOUNCE_HOST    a name whose address stays when the pod goes; without one the node finds its own address
#   REDIS_MAXMEMORY  instead of redis.conf's
#   ZONE             where it runs, which form-cluster.sh asks for
#   REDIS_BIND       an address to listen on instead of all
#   REDIS_CONFIG, REDIS_RUN, REDIS_DATA   folders, where they are others
set -eu
: "${REDIS_PASSWORD:?is not set}"
config=${REDIS_CONFIG:-/etc/redis-cluster}/redis.conf
own=${REDIS_RUN:-/run/redis-cluster}/redis.conf

case $REDIS_PASSWORD in
    *[\"\\]*) echo "REDIS_PASSWORD must have neither quotes nor backslashes" >&2; exit 64 ;;
esac

# The name is there before the pod is, but a cluster's DNS may be late.
announced() {
    tries=0
    until address=$(getent ahosts "$ANNOUNCE_HOST" | awk 'NR == 1 { print $1 }') && [ -n "$address" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || { echo "$ANNOUNCE_HOST has no address" >&2; exit 1; }
        sleep 1
    done
    echo "$address"
}

umask 077
{
    echo "include $config"
    echo "dir ${REDIS_DATA:-/data}"
    echo "requirepass \"$REDIS_PASSWORD\""
    echo "masterauth \"$REDIS_PASSWORD\""
    [ -z "${REDIS_MAXMEMORY:-}" ] || echo "maxmemory $REDIS_MAXMEMORY"
    [ -z "${REDIS_BIND:-}" ] || echo "bind $REDIS_BIND"
    [ -z "${ANNOUNCE_HOST:-}" ] || echo "cluster-announce-ip $(announced)"
    # Free text that other nodes can be asked for; nothing is sent to syslog.
    [ -z "${ZONE:-}" ] || echo "syslog-ident \"$ZONE\""
} >"$own"
exec redis-server "$own"
