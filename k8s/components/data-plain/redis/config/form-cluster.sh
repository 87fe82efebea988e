#!/bin/sh
# Makes one Cluster of the nodes, or what is missing of it: it may be interrupted anywhere and run again, and it gives a node that
# came back empty to the master that lacks a replica. No replica is put into its master's zone while another way is open.
#   REDIS_NODES        the nodes' host names, an even number: half of them masters
#   REDISCLI_AUTH      the password
#   PATIENCE_SECONDS   how long to wait for the nodes (300)
set -eu
: "${REDIS_NODES:?is not set}"
patience=${PATIENCE_SECONDS:-300}
begin=$(date +%s)
all=$(echo "$REDIS_NODES" | wc -w)
masters=$((all / 2))

ask() { host=$1; shift; redis-cli -e -h "$host" -p "${REDIS_PORT:-6379}" "$@"; }

# until_true WHAT COMMAND...
until_true() {
    what=$1
    shift
    until "$@"; do
        if [ $(($(date +%s) - begin)) -ge "$patience" ]; then
            echo "gave up after $patience s: $what" >&2
            exit 1
        fi
        sleep 1
    done
}

answers() { [ "$(ask "$1" ping 2>/dev/null)" = PONG ]; }
address_of() { getent ahosts "$1" | awk 'NR == 1 { print $1 }'; }
zone_of() { ask "$1" config get syslog-ident | awk 'NR == 2 { print ($1 == "" || $1 == "redis") ? "-" : $1 }'; }
says() { ask "$1" cluster info | tr -d '\r' | grep -q "^$2$"; }
# CLUSTER NODES of one node without those that are gone.
living() { ask "$1" cluster nodes | awk '$3 !~ /fail|handshake|noaddr/'; }
knows_all() { [ "$(living "$1" | wc -l)" -ge "$all" ]; }
own_line() { ask "$1" cluster nodes | awk '$3 ~ /myself/'; }
has_slots() { own_line "$1" | awk '{ exit NF < 9 }'; }
is_replica() { own_line "$1" | awk '{ exit $3 !~ /slave/ }'; }
is_empty_master() { ! has_slots "$1" && ! is_replica "$1"; }

# One node of each zone, then others as they come.
choose_masters() {
    for node in $REDIS_NODES; do echo "$node $(zone_of "$node")"; done |
        awk -v want="$masters" '
            { node[NR] = $1; zone[NR] = $2 }
            function take(i) { if (!taken[i] && n < want) { taken[i] = 1; seen[zone[i]] = 1; n++ } }
            END {
                for (i = 1; i <= NR; i++) if (!(zone[i] in seen)) take(i)
                for (i = 1; i <= NR; i++) take(i)
                for (i = 1; i <= NR; i++) if (taken[i]) print node[i]
            }'
}

# A range each; a master that has it from an earlier run says that it is busy.
spread_slots() {
    i=0
    for node in $(choose_masters); do
        from=$((16384 * i / masters))
        i=$((i + 1))
        to=$((16384 * i / masters - 1))
        has_slots "$node" || ask "$node" cluster addslotsrange "$from" "$to" >/dev/null
        echo "master: $node, slots $from to $to"
    done
}

# Lines "replica master-id", with as few pairs in one zone as can be. Every way is tried: there are few.
choose_pairs() {
    {
        for node in $REDIS_NODES; do
            if has_slots "$node"; then
                id=$(ask "$node" cluster myid)
                replicas=$(living "$1" | awk -v id="$id" '$4 == id' | wc -l)
                echo "master $id $(zone_of "$node") $replicas"
            elif is_empty_master "$node"; then
                echo "replica $node $(zone_of "$node")"
            fi
        done
    } | awk '
        $1 == "master" { m++; id[m] = $2; mzone[m] = $3; has[m] = $4 }
        $1 == "replica" { r++; name[r] = $2; rzone[r] = $3 }
        function try(i, cost,    k) {
            if (cost >= best) return
            if (i > r) { best = cost; for (k = 1; k <= r; k++) chosen[k] = pick[k]; return }
            for (k = 1; k <= m; k++) {
                pick[i] = k
                has[k]++
                try(i + 1, cost + (has[k] > 1 ? 100 * has[k] : 0) + (mzone[k] == rzone[i] && mzone[k] != "-"))
                has[k]--
            }
        }
        END { best = 1e9; try(1, 0); for (i = 1; i <= r; i++) print name[i], id[chosen[i]] }'
}

follows() { ask "$1" cluster replicate "$2" >/dev/null 2>&1; }
has_data() { ask "$1" info replication | tr -d '\r' | grep -qE '^(role:master|master_link_status:up)$'; }
is_whole() { says "$1" cluster_state:ok && says "$1" cluster_slots_ok:16384 && has_data "$1"; }

first=${REDIS_NODES%% *}
for node in $REDIS_NODES; do until_true "$node does not answer" answers "$node"; done
for node in $REDIS_NODES; do
    ask "$first" cluster meet "$(address_of "$node")" "${REDIS_PORT:-6379}" >/dev/null
done
for node in $REDIS_NODES; do until_true "$node does not know all others" knows_all "$node"; done
says "$first" cluster_slots_assigned:16384 || spread_slots
for node in $REDIS_NODES; do until_true "$node does not know of all slots" says "$node" cluster_slots_assigned:16384; done
choose_pairs "$first" | while read -r replica master; do
    until_true "$replica cannot follow $master" follows "$replica" "$master"
    echo "replica: $replica"
done
for node in $REDIS_NODES; do until_true "the cluster is not whole, says $node" is_whole "$node"; done
echo "the cluster of $all nodes is whole"
