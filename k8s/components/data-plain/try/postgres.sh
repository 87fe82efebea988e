# shellcheck shell=bash
# Three instances on 127.0.3.10 to .12 under Patroni; pods that nobody runs stand for them in a real API server. Sourced by try.sh.
# shellcheck source=k8s/apiserver/control-plane.sh
. k8s/apiserver/control-plane.sh
POSTGRES_PASSWORDS=(PATRONI_SUPERUSER_PASSWORD=of-the-superuser PATRONI_REPLICATION_PASSWORD=of-the-replicator
    PATRONI_RESTAPI_USERNAME=patroni PATRONI_RESTAPI_PASSWORD=of-patroni
    APPLICATION_USERNAME=adplatform "APPLICATION_PASSWORD=it's \"quoted\"" APPLICATION_DATABASE=adplatform)

as_admin() { KUBECONFIG="$DIR/api/kubeconfig" kubectl --namespace ad-platform "$@"; }

# What the component says, applied; and a pod for each instance, with the labels of the StatefulSet's.
postgres_objects() {
    local i
    mkdir "$DIR/kustomization"
    printf 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [%s]\ncomponents: [%s]\n' \
        "$(realpath --relative-to "$DIR/kustomization" k8s/base)" "$(realpath --relative-to "$DIR/kustomization" "$HERE/postgres")" \
        >"$DIR/kustomization/kustomization.yaml"
    kubectl kustomize "$DIR/kustomization" | as_admin apply -f - >/dev/null
    for i in 0 1 2; do
        as_admin get statefulset postgres -o json | python3 -c '
import json, sys
template = json.load(sys.stdin)["spec"]["template"]
template["spec"]["volumes"].append({"name": "data", "emptyDir": {}})
# Nobody is there who would read the service account from it.
template["spec"].pop("priorityClassName")
print(json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "metadata": {
    "name": sys.argv[1], "labels": template["metadata"]["labels"]}}))' "postgres-$i" | as_admin apply -f - >/dev/null
    done
    # Patroni is given the token of its own account, and so no more than the Role allows.
    # By this name Patroni looks for a context outside a cluster.
    sed "s/token: try/token: $(as_admin create token postgres)/; s/contexts: \[{name: try/contexts: [{name: kind-kind/; s/current-context: try/current-context: kind-kind/" \
        "$DIR/api/kubeconfig" >"$DIR/patroni-kubeconfig"
}

postgres_node() {
    local own="$DIR/postgres-$1" address="127.0.3.1$1"
    mkdir -p "$own/run" "$own/config"
    # The paths of the image, here in a folder; all else is as it is.
    sed "s#/run/postgresql#$own/run#; s#/tmp/pgpass#$own/pgpass#; s#/etc/postgres/#$own/config/#" \
        "$HERE/postgres/config/patroni.yaml" >"$own/config/patroni.yaml"
    cp "$HERE"/postgres/config/*.sh "$DIR/patroni-kubeconfig" "$own/config/"
    chown -R postgres "$own"
    start "postgres-$1" setsid setpriv --reuid postgres --regid postgres --clear-groups env -i PATH="$PATH" HOME="$own" \
        KUBECONFIG="$own/config/patroni-kubeconfig" POSTGRES_CONFIG="$own/config" \
        PATRONI_NAME="postgres-$1" PATRONI_KUBERNETES_NAMESPACE=ad-platform PATRONI_KUBERNETES_POD_IP="$address" \
        PATRONI_POSTGRESQL_CONNECT_ADDRESS="$address:5432" PATRONI_RESTAPI_CONNECT_ADDRESS="$address:8008" \
        PATRONI_POSTGRESQL_LISTEN="$address:5432" PATRONI_RESTAPI_LISTEN="$address:8008" \
        PATRONI_POSTGRESQL_DATA_DIR="$own/data" "${POSTGRES_PASSWORDS[@]}" sh "$own/config/start.sh"
}

# sql INDEX STATEMENT: as the application.
sql() {
    PGPASSWORD="it's \"quoted\"" psql -X -q -t -A -v ON_ERROR_STOP=1 "host=127.0.3.1$1 user=adplatform dbname=adplatform connect_timeout=2" -c "$2"
}
# Who the Services send to, by their index: the label, and ready. (One that was killed keeps its label until it is back.)
with_role() {
    local i
    for i in $(as_admin get pods -l "app=postgres,role=$1" -o name | grep -oE '[0-9]$'); do probe "$i" readiness && echo "$i"; done
    return 0
}
has_roles() { [ "$(with_role master | wc -l)" = 1 ] && [ "$(with_role replica | wc -l)" = "$1" ]; }
probe() { curl --max-time 3 -fsS -o /dev/null "http://127.0.3.1$1:8008/$2" 2>/dev/null; }
all_ready() { for i in 0 1 2; do probe "$i" liveness && probe "$i" readiness || return 1; done; }
is_synchronous() { [ -n "$(as_admin get configmap adplatform-sync -o jsonpath='{.metadata.annotations.sync_standby}')" ]; }

application_is_no_superuser() {
    [ "$(sql "$(with_role master)" 'SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication FROM pg_roles WHERE rolname = current_user')" = f ]
}
writes_reach_standbys() {
    local standby
    sql "$(with_role master)" 'CREATE TABLE written (n int); INSERT INTO written VALUES (1)' || return 1
    for standby in $(with_role replica); do within 10 sql "$standby" 'SELECT n FROM written' || return 1; done
    ! sql "$standby" 'INSERT INTO written VALUES (2)' 2>/dev/null
}
patroni_is_held_to_its_role() {
    ! KUBECONFIG="$DIR/patroni-kubeconfig" kubectl -n ad-platform get secrets >/dev/null 2>&1 &&
        ! KUBECONFIG="$DIR/patroni-kubeconfig" kubectl -n ad-platform get configmap kube-root-ca.crt >/dev/null 2>&1
}

# kill -9 to Patroni and to every PostgreSQL process of the session that it leads.
kill_instance() {
    [ -n "${PID[postgres-$1]:-}" ] || return 0
    kill -KILL -- "-${PID[postgres-$1]}" 2>/dev/null || true
    kill_postmaster "$1"
    kill_hard "postgres-$1"
}
# PostgreSQL makes a session of its own.
kill_postmaster() {
    local pid
    pid=$(head -1 "$DIR/postgres-$1/data/postmaster.pid" 2>/dev/null) || return 0
    kill -KILL "$pid" 2>/dev/null || true
}

promotes_without_loss() {
    local old begin
    old=$(with_role master)
    sql "$old" 'INSERT INTO written SELECT generate_series(2, 1000)' || return 1
    kill_instance "$old"
    begin=$SECONDS
    within 90 another_leads "$old" || return 1
    echo "   after $((SECONDS - begin)) s"
    [ "$(sql "$(with_role master)" 'SELECT count(*) FROM written')" = 1000 ] || return 1
    postgres_node "$old"
    within 90 has_roles 2 && within 60 all_ready && within 10 sql "$old" 'SELECT n FROM written WHERE n = 1000'
}
# As a rollout does it: long before its time as a leader would be over.
stops_in_good_order() {
    local old begin
    # Without one that is synchronous nobody else may lead.
    within 40 is_synchronous || return 1
    old=$(with_role master)
    begin=$SECONDS
    kill -TERM "${PID[postgres-$old]}"
    within 20 another_leads "$old" || return 1
    echo "   another leads after $((SECONDS - begin)) s"
    wait "${PID[postgres-$old]}" && unset "PID[postgres-$old]" || return 1
    [ "$(sql "$(with_role master)" 'SELECT count(*) FROM written')" = 1000 ] || return 1
    postgres_node "$old"
    within 90 has_roles 2 && within 60 all_ready
}
another_leads() {
    local now
    now=$(with_role master)
    [ -n "$now" ] && [ "$now" != "$1" ] && sql "$now" 'CREATE TEMPORARY TABLE t (n int)'
}
all_killed_come_back() {
    local i
    for i in 0 1 2; do kill_instance "$i"; done
    for i in 0 1 2; do postgres_node "$i"; done
    within 120 all_ready && within 60 has_roles 2 && within 60 has_everything && within 60 takes_writes
}
# One that led before has its label back before it leads again.
takes_writes() { sql "$(with_role master)" 'CREATE TEMPORARY TABLE t (n int)'; }
has_everything() { [ "$(sql "$(with_role master)" 'SELECT count(*) FROM written')" = 1000 ]; }

# ---- the archive

superuser() {
    PGPASSWORD=of-the-superuser psql -X -q -t -A -v ON_ERROR_STOP=1 "host=127.0.3.1$(with_role master) user=postgres dbname=postgres connect_timeout=2" -c "$1"
}
# as_archive PRIMARY COMMAND...: with the environment of archive.yaml; its Service is one that leads to the primary.
as_archive() {
    local primary=$1
    shift
    setpriv --reuid postgres --regid postgres --clear-groups env -i PATH="$PATH" HOME="$DIR/archive" ARCHIVE="$DIR/archive/kept" \
        PGHOST="127.0.3.1$primary" PGUSER=replicator PGPASSWORD=of-the-replicator "$@"
}
# What kubelet does: it is started again when it ends.
receive() {
    local primary
    while :; do
        primary=$(with_role master 2>/dev/null | head -1)
        [ -z "$primary" ] || as_archive "$primary" sh "$DIR/archive/config/receive.sh" || true
        sleep 0.5
    done
}
archive_runs() {
    mkdir -p "$DIR/archive/kept"
    cp -r "$HERE/postgres/config" "$DIR/archive/"
    chown -R postgres "$DIR/archive"
    receive >>"$DIR/receive.log" 2>&1 &
    local name=receive
    PID[$name]=$!
    within 30 archive_is_level
}
archive_is_level() {
    [ "$(superuser "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'pg_receivewal' AND flush_lsn >= pg_current_wal_flush_lsn()")" = 1 ]
}
backs_up() { as_archive "$(with_role master)" ONCE=1 sh "$DIR/archive/config/backup.sh" >>"$DIR/backup.log" 2>&1; }
is_recent() { as_archive 9 "$@" sh "$DIR/archive/config/recent.sh"; }
takes_a_base_backup() { backs_up && grep -q verified "$DIR/backup.log" && is_recent; }
kept_backups() { find "$DIR/archive/kept/base" -mindepth 1 -maxdepth 1 -name '*Z' | wc -l; }
# An hour and three days old: of two more the oldest goes, though none of the two can be taken (nobody listens there).
forgets_before_it_takes() {
    local base="$DIR/archive/kept/base" taken
    taken=$(find "$base" -mindepth 1 -maxdepth 1 -name '*Z' -printf '%f\n') && [ "$(kept_backups)" = 1 ] || return 1
    cp -a "$base/$taken" "$base/$(date -u -d '-1 hour' +%Y%m%dT%H%M%SZ)"
    cp -a "$base/$taken" "$base/$(date -u -d '-3 days' +%Y%m%dT%H%M%SZ)"
    mkdir "$base/20200101T000000Z.part"
    ! as_archive 9 ONCE=1 KEEP_DAYS=2 sh "$DIR/archive/config/backup.sh" >>"$DIR/backup.log" 2>&1 && [ "$(kept_backups)" = 2 ] && [ ! -e "$base/20200101T000000Z.part" ] || return 1
    rm -rf "${base:?}/$(find "$base" -mindepth 1 -maxdepth 1 -name '*Z' -printf '%f\n' | sort | head -1)"
}
old_backups_are_told() { is_recent EVERY_SECONDS=600 && sleep 3 && ! is_recent EVERY_SECONDS=1 >"$DIR/recent.log" && grep -q ' s old' "$DIR/recent.log"; }
# Nobody listens there.
takes_none_from_nobody() {
    ! as_archive 9 ONCE=1 sh "$DIR/archive/config/backup.sh" >"$DIR/backup.log" 2>&1 && [ "$(kept_backups)" = 0 ] && ! is_recent
}
archive_follows() { within 60 archive_is_level; }

# All disks lost; from the archive alone, to an instant before somebody dropped the table.
restored_to_before_the_damage() {
    local i instant
    sql "$(with_role master)" 'INSERT INTO written VALUES (2000)' || return 1
    instant=$(sql "$(with_role master)" "SELECT clock_timestamp()") || return 1
    sql "$(with_role master)" 'DROP TABLE written' && within 30 archive_is_level || return 1
    for i in 0 1 2; do kill_instance "$i"; done
    for i in 0 1 2; do find "$DIR/postgres-$i/data" -mindepth 1 -delete; done
    as_admin delete configmap adplatform-config adplatform-leader adplatform-sync --ignore-not-found >/dev/null
    as_archive 0 PGDATA="$DIR/postgres-0/data" sh "$DIR/archive/config/restore.sh" "$instant" | sed 's/^/   /' || return 1
    postgres_node 0
    within 60 has_roles 0 || return 1
    postgres_node 1
    postgres_node 2
    within 120 has_roles 2 && within 60 all_ready && [ "$(sql "$(with_role master)" 'SELECT count(*), max(n) FROM written')" = "1001|2000" ]
}
archive_begins_anew() {
    within 60 archive_is_level && takes_a_base_backup && [ "$(find "$DIR/archive/kept" -maxdepth 1 -name 'before-*' | wc -l)" = 1 ]
}
# The receiver alone, so that its loop does not start another.
end_receiver() {
    kill_hard receive
    local pid
    for pid in $(pgrep -u postgres -f "$DIR/archive/kept" || true); do kill "$pid" 2>/dev/null || true; done
}

try_postgres() {
    need_program patroni patroni
    need_program setpriv util-linux
    build_kubernetes etcd kube-apiserver kubectl
    chmod 0711 "$DIR"
    start_control_plane "$DIR/api"
    unset KUBECONFIG
    postgres_objects
    for i in 0 1 2; do postgres_node "$i"; done
    holds "postgres: one primary, two standbys, by the labels that the Services select" within 300 has_roles 2
    holds "postgres: every probe passes" within 60 all_ready
    holds "postgres: the application's role is no superuser" application_is_no_superuser
    holds "postgres: a standby is synchronous" within 40 is_synchronous
    holds "postgres: writes reach the standbys, which take none themselves" writes_reach_standbys
    holds "postgres: its account reads neither secrets nor others' settings" patroni_is_held_to_its_role
    holds "postgres: the archive receives the log" archive_runs
    holds "postgres: without a primary no base backup is there, and none is said to be" takes_none_from_nobody
    holds "postgres: a base backup is taken and verified" takes_a_base_backup
    holds "postgres: an archive whose newest base backup is too old says so" old_backups_are_told
    holds "postgres: old base backups go though no new one can be taken" forgets_before_it_takes
    holds "postgres: the primary killed, a standby is promoted and nothing is lost; the old one follows" promotes_without_loss
    holds "postgres: the primary told to stop gives its leadership up at once" stops_in_good_order
    holds "postgres: the archive follows the new primary" archive_follows
    holds "postgres: all three killed at once come back with everything" all_killed_come_back
    holds "postgres: all disks lost, restored from the archive to an instant before a table was dropped" restored_to_before_the_damage
    holds "postgres: the archive begins anew behind a restore" archive_begins_anew
}
end_postgres() {
    end_receiver
    for i in 0 1 2; do kill_instance "$i"; done
    stop_control_plane "$DIR/api"
}
