# shellcheck shell=bash
# Six nodes on 127.0.1.1 to .6, two in each of three zones. Sourced by try.sh.
REDIS_ADDRESSES=(127.0.1.1 127.0.1.2 127.0.1.3 127.0.1.4 127.0.1.5 127.0.1.6)
REDIS_ZONES=(a a b b c c)
export REDISCLI_AUTH=the-password-of-the-try

redis_node() {
    mkdir -p "$DIR/redis-$1/data" "$DIR/redis-$1/run"
    start "redis-$1" env REDIS_PASSWORD="$REDISCLI_AUTH" ZONE="${REDIS_ZONES[$1]}" REDIS_BIND="${REDIS_ADDRESSES[$1]}" \
        ANNOUNCE_HOST="${REDIS_ADDRESSES[$1]}" REDIS_CONFIG="$PWD/$HERE/redis/config" REDIS_RUN="$DIR/redis-$1/run" \
        REDIS_DATA="$DIR/redis-$1/data" sh "$HERE/redis/config/start.sh"
}
redis() { redis-cli -e -h "${REDIS_ADDRESSES[$1]}" "${@:2}"; }
redis_ready() { REDIS_BIND=${REDIS_ADDRESSES[$1]} sh "$HERE/redis/config/ready.sh"; }
form() { REDIS_NODES="${REDIS_ADDRESSES[*]}" PATIENCE_SECONDS=60 sh "$HERE/redis/config/form-cluster.sh" >>"$DIR/form.log" 2>&1; }

# Again and again, each time stopped a little later.
form_interrupted() {
    local after
    for after in 0.1 0.2 0.3 0.5 0.8 1.2 1.6 2.2; do
        REDIS_NODES="${REDIS_ADDRESSES[*]}" timeout "$after" sh "$HERE/redis/config/form-cluster.sh" >>"$DIR/form.log" 2>&1 || true
    done
    form
}

redis_roles() { for i in 0 1 2 3 4 5; do redis "$i" cluster nodes | grep myself | awk '{ print $1, $3, $4, $9 }'; done; }
three_pairs_apart() {
    local i id masters=0
    declare -A zone=()
    for i in 0 1 2 3 4 5; do zone[$(redis "$i" cluster myid)]=${REDIS_ZONES[$i]}; done
    for i in 0 1 2 3 4 5; do
        id=$(redis "$i" cluster nodes | awk '/myself/ { print $4 }')
        if [ "$id" = - ]; then masters=$((masters + 1)); else [ "${zone[$id]}" != "${REDIS_ZONES[$i]}" ] || return 1; fi
    done
    [ "$masters" -eq 3 ]
}
forming_again_changes_nothing() {
    local before
    before=$(redis_roles)
    form && [ "$(redis_roles)" = "$before" ]
}
cluster_ok() { redis 0 cluster info | grep -q cluster_state:ok && redis 0 cluster info | grep -q cluster_slots_ok:16384; }
all_say_ok() { for i in 0 1 2 3 4 5; do redis "$i" cluster info | grep -q cluster_state:ok || return 1; done; }
all_redis_ready() { for i in 0 1 2 3 4 5; do redis_ready "$i" || return 1; done; }

all_killed_heal() {
    local i
    for i in 0 1 2 3 4 5; do redis "$i" config set appendfsync always >/dev/null; done
    redis 0 -c set written-before killed >/dev/null
    kill_hard redis-{0..5}
    for i in 0 1 2 3 4 5; do redis_node "$i"; done
    # Each says it for itself, and a master takes nothing before.
    within 60 cluster_ok && within 30 all_say_ok && within 30 all_redis_ready && [ "$(redis 0 -c get written-before)" = killed ]
}

# The one that comes back empty is another node, and is given to the master that lost its replica.
lost_disk_is_made_good() {
    local i lost=
    for i in 0 1 2 3 4 5; do redis "$i" role | grep -q slave && lost=$i; done
    kill_hard "redis-$lost"
    rm -rf "$DIR/redis-$lost"
    redis_node "$lost"
    within 20 redis "$lost" ping
    # The others still wait for the old one.
    within 20 sh -c "redis-cli -h ${REDIS_ADDRESSES[$(((lost + 1) % 6))]} cluster nodes | grep -q fail"
    form && within 30 redis_ready "$lost" && redis "$lost" role | grep -q slave && three_pairs_apart
}

hand_over() { REDIS_BIND=${REDIS_ADDRESSES[$1]} HAND_OVER_SECONDS=${2:-30} sh "$HERE/redis/config/hand-over.sh"; }
is_master() { redis "$1" role | grep -q master; }
a_master() { for i in 0 1 2 3 4 5; do if is_master "$i"; then echo "$i"; break; fi; done; }
# As a rollout does it: the script, then SIGTERM, then another process. Of the writes meanwhile none may fail for longer than a moment.
master_hands_over() {
    local old number failed=0
    old=$(a_master)
    (
        number=0
        while [ ! -e "$DIR/handed-over" ]; do
            number=$((number + 1))
            timeout 1 redis-cli -e -c -h "${REDIS_ADDRESSES[$(((old + 1) % 6))]}" set "while-handing-over-$number" "$number" >/dev/null 2>&1 || echo "$number"
            sleep 0.02
        done >"$DIR/refused"
        echo "$number" >"$DIR/asked"
    ) &
    hand_over "$old" && ! is_master "$old" && cluster_ok || failed=1
    kill -TERM "${PID[redis-$old]}" && wait "${PID[redis-$old]}" || failed=1
    touch "$DIR/handed-over"
    wait $!
    unset "PID[redis-$old]"
    redis_node "$old"
    echo "   $(wc -l <"$DIR/refused") of $(cat "$DIR/asked") writes refused"
    [ "$failed" = 0 ] && within 30 all_redis_ready && within 10 cluster_ok && [ "$(wc -l <"$DIR/refused")" -le 2 ]
}
# Nobody to hand over to, or nothing: it ends at once.
hands_over_in_time() {
    local master replica begin=$SECONDS
    for replica in 0 1 2 3 4 5; do if ! is_master "$replica"; then break; fi; done
    master=$(redis "$replica" role | sed -n 2p)
    for i in 0 1 2 3 4 5; do [ "${REDIS_ADDRESSES[$i]}" != "$master" ] || master=$i; done
    hand_over "$replica" && ! is_master "$replica" || return 1
    # Stopped, not dead: the others do not know yet, and no answer comes.
    kill -STOP "${PID[redis-$replica]}"
    hand_over "$master" 4
    kill -CONT "${PID[redis-$replica]}"
    echo "   after $((SECONDS - begin)) s"
    # What it was asked for while it did not listen it does now.
    [ $((SECONDS - begin)) -le 10 ] && sleep 3 && within 60 all_say_ok && within 30 all_redis_ready
}

try_redis() {
    need_program redis-server redis-server
    local i
    for i in 0 1 2 3 4 5; do redis_node "$i"; done
    holds "redis: formed though it was interrupted eight times" form_interrupted
    holds "redis: three masters, each with a replica in another zone" three_pairs_apart
    holds "redis: forming it again changes nothing" forming_again_changes_nothing
    holds "redis: every node is ready" within 30 all_redis_ready
    holds "redis: a master hands over before it stops, as its pod's preStop does" master_hands_over
    holds "redis: handing over to a replica that does not answer ends in time" hands_over_in_time
    holds "redis: all six killed at once heal, with what was written" all_killed_heal
    holds "redis: a replica that lost its disk is made good by forming again" lost_disk_is_made_good
}
end_redis() { kill_hard redis-{0..5}; }
