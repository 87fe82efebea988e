#!/bin/sh
# Makes a data folder anew from the archive, as it was at an instant, and lets the server recover and promote it. Patroni then finds a
# database, as after a start. Nobody else may run on the folder. See k8s/restore.md.
#   restore.sh 'YYYY-MM-DD HH:MM:SS+00'      or `latest`: all that the archive has
#   ARCHIVE, PGDATA
set -eu
target=${1:?the instant is missing, or latest}
bin=$(echo /usr/lib/postgresql/*/bin)
export PATH="$bin:$PATH"
base=$ARCHIVE/base
chosen=''
for finished in "$base"/*Z; do
    # A backup can be restored to an instant behind its own end alone.
    if [ -d "$finished" ] && { [ "$target" = latest ] || [ "$(stat -c %Y "$finished")" -lt "$(date -u -d "$target" +%s)" ]; }; then
        chosen=${finished##*/}
    fi
done
[ -n "$chosen" ] || { echo "no base backup of before $target in $base" >&2; exit 1; }
echo "restoring $chosen, then the log until $target"
mkdir -p "$PGDATA"
find "$PGDATA" -mindepth 1 -delete
tar -C "$PGDATA" -xzf "$base/$chosen/base.tar.gz"
chmod 0700 "$PGDATA"
# What Patroni wrote there is of before; it writes it anew.
rm -f "$PGDATA/postmaster.pid" "$PGDATA/standby.signal" "$PGDATA/recovery.signal"
cat >"$PGDATA/restore.conf" <<END
listen_addresses = ''
unix_socket_directories = '$PGDATA'
hba_file = '$PGDATA/restore.hba'
# The last segment was being written when the archive ended.
restore_command = 'cp "$ARCHIVE/wal/%f" "%p" 2>/dev/null || cp "$ARCHIVE/wal/%f.partial" "%p"'
recovery_target_timeline = 'latest'
recovery_target_action = 'promote'
synchronous_standby_names = ''
archive_mode = off
END
[ "$target" = latest ] || echo "recovery_target_time = '$target'" >>"$PGDATA/restore.conf"
echo 'local all all trust' >"$PGDATA/restore.hba"
cp "$PGDATA/postgresql.conf" "$PGDATA/postgresql.conf.kept"
[ -e "$PGDATA/pg_ident.conf" ] || : >"$PGDATA/pg_ident.conf"
echo "include 'restore.conf'" >>"$PGDATA/postgresql.conf"
touch "$PGDATA/recovery.signal"
ask() { psql --no-psqlrc --host "$PGDATA" --username postgres --dbname postgres -qtAc "$1"; }
explain() {
    tail -5 "$PGDATA/restore.log" >&2
    exit 1
}
pg_ctl --pgdata "$PGDATA" --log "$PGDATA/restore.log" --timeout "${RECOVERY_SECONDS:-3600}" --silent start || explain
until [ "$(ask 'SELECT pg_is_in_recovery()' 2>/dev/null)" = f ]; do
    pg_ctl --pgdata "$PGDATA" status >/dev/null || explain
    sleep 1
done
pg_ctl --pgdata "$PGDATA" --mode fast --silent stop
grep -oE '(recovery stopping|last completed transaction|selected new timeline).*' "$PGDATA/restore.log" || true
mv "$PGDATA/postgresql.conf.kept" "$PGDATA/postgresql.conf"
rm "$PGDATA/restore.conf" "$PGDATA/restore.hba" "$PGDATA/restore.log"
# The log of after the instant is of a history that did not happen. Receiver and backups begin anew; this is kept until somebody removes it.
before=$ARCHIVE/before-$(date -u +%Y%m%dT%H%M%SZ)
mkdir "$before"
mv "$ARCHIVE/wal" "$ARCHIVE/base" "$before/"
echo "restored; the archive of before is in $before"
