# shellcheck shell=bash
# A real API server on loopback, for scripts that stand in the project's root: etcd and kube-apiserver built from their Go
# modules. Sourced after tests/tools.sh.
KUBERNETES_VERSION=v1.36.3
KUBERNETES_PROGRAMS="$TOOLS/kubernetes-$KUBERNETES_VERSION"

# build_kubernetes PROGRAM...: programs of the module in k8s/apiserver, kept by version. The first takes minutes.
build_kubernetes() {
    local wanted=() program
    for program in "$@"; do
        [ -x "$KUBERNETES_PROGRAMS/$program" ] && continue
        case $program in
            etcd) wanted+=(./etcd) ;;
            *) wanted+=("k8s.io/kubernetes/cmd/$program") ;;
        esac
    done
    PATH="$KUBERNETES_PROGRAMS:$PATH"
    [ ${#wanted[@]} -eq 0 ] && return
    need_program go golang-go || return 1
    echo "building ${wanted[*]} (minutes, once)"
    local minor=${KUBERNETES_VERSION#v1.} stamp=k8s.io/component-base/version
    (cd k8s/apiserver && GOBIN="$KUBERNETES_PROGRAMS" go install -ldflags \
        "-s -w -X $stamp.gitVersion=$KUBERNETES_VERSION -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%.*}" "${wanted[@]}")
}

free_ports() {
    python3 -c 'import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))' "$1"
}

# start_control_plane FOLDER [ADDRESS]: keeps its state in FOLDER; writes FOLDER/kubeconfig and FOLDER/pids. START_SECONDS: how long it
# may take, for a machine that is busy.
start_control_plane() {
    local dir=$1 address=${2:-127.0.0.1} etcd_port peer_port api_port
    read -r etcd_port peer_port api_port <<<"$(free_ports 3)"
    mkdir -p "$dir/certificates"
    openssl genrsa -out "$dir/accounts.key" 2048 2>/dev/null
    # By what others who serve a part of the API know this server.
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=aggregator \
        -keyout "$dir/aggregator.key" -out "$dir/aggregator.crt" 2>/dev/null
    printf 'try,admin,1,system:masters\n' >"$dir/tokens.csv"
    etcd --data-dir "$dir/etcd" --unsafe-no-fsync --log-level error \
        --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$peer_port" >"$dir/etcd.log" 2>&1 &
    echo $! >"$dir/pids"
    kube-apiserver --etcd-servers "http://127.0.0.1:$etcd_port" \
        --bind-address "$address" --advertise-address "$address" --secure-port "$api_port" --cert-dir "$dir/certificates" \
        --service-cluster-ip-range 10.96.0.0/16 --authorization-mode Node,RBAC --token-auth-file "$dir/tokens.csv" \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$dir/accounts.key" \
        --service-account-signing-key-file "$dir/accounts.key" --allow-privileged=true \
        --proxy-client-cert-file "$dir/aggregator.crt" --proxy-client-key-file "$dir/aggregator.key" \
        --requestheader-client-ca-file "$dir/aggregator.crt" --requestheader-allowed-names aggregator \
        --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
        --requestheader-extra-headers-prefix X-Remote-Extra- >"$dir/kube-apiserver.log" 2>&1 &
    echo $! >>"$dir/pids"
    cat >"$dir/kubeconfig" <<KUBECONFIG
apiVersion: v1
kind: Config
current-context: try
clusters: [{name: try, cluster: {server: "https://$address:$api_port", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: try}}]
contexts: [{name: try, context: {cluster: try, user: admin}}]
KUBECONFIG
    export KUBECONFIG="$dir/kubeconfig"
    local deadline=$((SECONDS + ${START_SECONDS:-120}))
    until kubectl get --raw /readyz >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$deadline" ] || ! kill -0 "$(tail -1 "$dir/pids")" 2>/dev/null; then
            echo "the API server did not start:"
            tail -n 5 "$dir/kube-apiserver.log" "$dir/etcd.log"
            return 1
        fi
        sleep 0.2
    done
}

stop_control_plane() {
    local pid
    for pid in $(tac "$1/pids" 2>/dev/null); do
        kill "$pid" 2>/dev/null || continue
        wait "$pid" 2>/dev/null || true # a stopped server says that it was stopped
    done
    rm -rf "$1"
}

# definitions: the folder and the pattern of each line of crds.txt, from its module, which is downloaded once.
definitions() {
    local module version folder pattern dir
    while read -r module version folder pattern; do
        case $module in '' | '#'*) continue ;; esac
        dir=$(cd k8s/apiserver && go mod download -json "$module@$version" |
            python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])') || return 1
        printf '%s %s\n' "$dir/$folder" "$pattern"
    done <k8s/apiserver/crds.txt
}

# apply_definitions [MODULE]: these custom resources, or those of one module, waited for.
apply_definitions() {
    local found folder pattern
    found=$(definitions | grep -F -- "${1:-/}") || return 1
    while read -r folder pattern; do
        # shellcheck disable=SC2086 # the pattern is one
        (cd "$folder" && printf -- '-f %s ' $pattern | xargs kubectl create >/dev/null) || return 1
    done <<<"$found"
    kubectl wait --for condition=Established --timeout 60s crd --all >/dev/null
}
