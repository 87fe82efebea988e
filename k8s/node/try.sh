#!/usr/bin/env bash
# Runs overlay local on a real node: kubelet, scheduler, controllers and proxy from their Go module, Debian's containerd, CoreDNS,
# in namespaces of network, mounts and processes of their own. It trades on it, breaks it, and ends all of it.
# As root, on amd64 or arm64 Linux with the C library that the programs were built with; 3 GB of memory, 5 GB of disk. Images are made here from
# the programs (k8s/node/images.sh), not by the Dockerfile: docker/try.sh does that, and takes the longer for it.
#
#   k8s/node/try.sh [CHECK...]     everything, or the platform and these checks of k8s/node/checks.sh alone
#
#   PROGRAMS=FOLDER     default target/release
#   KEEP_LOGS=FOLDER    keeps the servers' logs
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/tools.sh
. k8s/apiserver/control-plane.sh
. k8s/node/images.sh
case ${1:-} in
    --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit ;;
    -*) echo "no option $1; see $0 --help" >&2 && exit 64 ;;
esac
[ "$(id -u)" -eq 0 ] || { echo "a node needs root" >&2; exit 64; }

# The folder and the groups of processes are all that is left once the namespaces are gone.
end() {
    local status=$?
    trap - EXIT INT TERM
    [ -z "$node" ] || kill -KILL "$node" 2>/dev/null || true # its first process goes with it, and with that all others
    [ -z "${KEEP_LOGS:-}" ] || { mkdir -p "$KEEP_LOGS" && cp -r "$NODE_DIR"/log/. "$KEEP_LOGS"; } || true
    # containerd's, by its own name; those of another kubelet here would not be empty.
    local deadline=$((SECONDS + 10))
    until [ -z "$(find /sys/fs/cgroup -depth -type d -path '*/k8s.io*' -exec rmdir {} + 2>&1)" ] || [ "$SECONDS" -ge "$deadline" ]; do sleep 0.3; done
    rm -rf "$NODE_DIR"
    exit "$status"
}

NODE_DIR=$(mktemp -d /tmp/node.XXXXXX)
node=
export NODE_DIR NODE_WORK
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
need_program go golang-go
need_program containerd containerd runc
need_program ip iproute2
need_program nft nftables
need_program conntrack conntrack
need_program openssl openssl
[ -x /usr/lib/cni/ptp ] || install_packages containernetworking-plugins
build_kubernetes etcd kube-apiserver kubectl kubelet kube-controller-manager kube-scheduler kube-proxy
go_tool coredns github.com/coredns/coredns@v1.14.7
definitions >/dev/null # inside there is no network
node_images "${PROGRAMS:-target/release}"
PATH="$PATH:/usr/sbin:/sbin" unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
    bash k8s/node/inside.sh "$@" &
node=$!
wait "$node" || exit
node=
