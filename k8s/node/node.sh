# shellcheck shell=bash
# A node and its control plane, inside the namespaces that try.sh made. Sourced after k8s/apiserver/control-plane.sh by a script
# that stands in the project's root. Everything ends with the namespace of processes.
NODE_ADDRESS=10.200.0.1
POD_RANGE=10.244.0.0/24

# run NAME COMMAND...: in the background, with a log of its own.
run() {
    local name=$1
    shift
    "$@" >"$NODE_DIR/log/$name.log" 2>&1 &
}

# within SECONDS WHAT COMMAND...: asks until it is so.
within() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || { echo "not in time: $what"; return 1; }
        sleep 0.3
    done
}

# own_folders: where containerd, kubelet and CNI keep their state by default; the machine's own are hidden, not touched.
own_folders() {
    mkdir -p "$NODE_DIR"/{log,cni,lib,volumes}
    mount --bind "$NODE_DIR/lib" /var/lib
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /var/log
    printf '127.0.0.1 localhost\n%s node\n' "$NODE_ADDRESS" >"$NODE_DIR/hosts"
    printf 'nameserver %s\n' "$NODE_ADDRESS" >"$NODE_DIR/resolv.conf"
    : >"$NODE_DIR/resolv.empty"
    mount --bind "$NODE_DIR/hosts" /etc/hosts
    mount --bind "$NODE_DIR/resolv.conf" /etc/resolv.conf
}

# Of what kubelet would set for the whole machine it is shown that it is set.
pretend_tunables() {
    local name value
    while read -r name value; do
        [ -e "/proc/sys/$name" ] || continue
        mkdir -p "$NODE_DIR/sysctl/${name%/*}"
        echo "$value" >"$NODE_DIR/sysctl/$name"
        mount --bind "$NODE_DIR/sysctl/$name" "/proc/sys/$name"
    done <<'TUNABLES'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
TUNABLES
}

# An address for the node, and a route for what would leave: it leads nowhere.
start_network() {
    ip link set lo up
    ip link add node0 type veth peer name outside
    ip address add "$NODE_ADDRESS/24" dev node0
    ip link set node0 up
    ip link set outside up
    ip route add default via 10.200.0.254 dev node0
    echo 1 >/proc/sys/net/ipv4/ip_forward
    # Routed, not bridged: Services between pods need nothing of a bridge's filter then. No plugin here enforces a NetworkPolicy.
    cat >"$NODE_DIR/cni/10-pods.conflist" <<CNI
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "ranges": [[{"subnet": "$POD_RANGE"}]],
   "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
CNI
}

start_containerd() {
    sed "s|@DIR@|$NODE_DIR|g; s|@SNAPSHOTTER@|${SNAPSHOTTER:-overlayfs}|g" k8s/node/containerd.toml >"$NODE_DIR/containerd.toml"
    run containerd containerd --config "$NODE_DIR/containerd.toml"
    within 60 "containerd answers" ctr version || return 1
    local begin=$SECONDS
    local archive
    for archive in "$NODE_WORK"/*.tar; do
        ctr --namespace k8s.io image import --snapshotter "${SNAPSHOTTER:-overlayfs}" "$archive" >>"$NODE_DIR/log/import.log" 2>&1 || return 1
    done
    echo "$((SECONDS - begin)) s" >"$NODE_DIR/import.seconds"
}

start_controllers() {
    run kube-controller-manager kube-controller-manager --kubeconfig "$KUBECONFIG" --leader-elect=false \
        --service-account-private-key-file "$NODE_DIR/plane/accounts.key" \
        --root-ca-file "$NODE_DIR/plane/certificates/apiserver.crt" --cluster-cidr "$POD_RANGE"
    run kube-scheduler kube-scheduler --kubeconfig "$KUBECONFIG" --leader-elect=false
}

# start_dns: CoreDNS on the node's address, where kubelet sends the pods to.
start_dns() {
    cat >"$NODE_DIR/Corefile" <<COREFILE
. {
    bind $NODE_ADDRESS
    errors
    kubernetes cluster.local {
        kubeconfig $KUBECONFIG try
        ttl 5
    }
}
COREFILE
    run coredns coredns -conf "$NODE_DIR/Corefile"
}

start_kubelet() {
    sed "s|@DIR@|$NODE_DIR|g; s|@ADDRESS@|$NODE_ADDRESS|g" k8s/node/kubelet.yaml >"$NODE_DIR/kubelet.yaml"
    run kubelet kubelet --config "$NODE_DIR/kubelet.yaml" --kubeconfig "$KUBECONFIG" --hostname-override node \
        --node-ip "$NODE_ADDRESS" --node-labels topology.kubernetes.io/zone=a
    # What is for the whole machine is left as it is: 0.
    run kube-proxy kube-proxy --kubeconfig "$KUBECONFIG" --proxy-mode "${PROXY_MODE:-nftables}" --cluster-cidr "$POD_RANGE" \
        --hostname-override node --conntrack-max-per-core 0 --conntrack-min 0 \
        --conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0
    within 60 "the node registers" kubectl get node node || return 1
    kubectl wait --for condition=Ready --timeout 60s node/node >/dev/null
}

# make_volumes: one of each claim of the overlay. Without a storage class a claim takes any that is large enough.
make_volumes() {
    local number
    for number in 0 1 2 3 4 5 6 7 8; do
        mkdir "$NODE_DIR/volumes/$number"
        cat <<VOLUME
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: volume-$number}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  local: {path: $NODE_DIR/volumes/$number}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node]}]
VOLUME
    done | kubectl create -f - >/dev/null
}

# start_node: containerd to a node that is ready.
start_node() {
    own_folders && pretend_tunables && start_network && start_containerd &&
        start_control_plane "$NODE_DIR/plane" "$NODE_ADDRESS" && start_controllers && start_dns && start_kubelet && make_volumes
}
