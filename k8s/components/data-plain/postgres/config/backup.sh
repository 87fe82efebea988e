#!/bin/sh
# Takes a base backup every so often, verifies and packs it. Those that are too old go, with the log before them; the newest two stay
# whatever their age.
#   ARCHIVE                      the folder
#   PGHOST, PGUSER, PGPASSWORD   the primary
#   EVERY_SECONDS, KEEP_DAYS     86400, 7
#   ONCE=1                       one backup, and the end
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
export PATH="$bin:$PATH"
every=${EVERY_SECONDS:-86400}
base=$ARCHIVE/base
mkdir -p "$base"

# Names of finished backups, newest first: folders with base.tar.gz and the label of the backup.
backups() { find "$base" -mindepth 1 -maxdepth 1 -type d -name '*Z' -printf '%f\n' | sort -r; }

# take: where it is asked whether this worked, `set -e` does not end it; each step asks for the one before. PostgreSQL 15 verifies no
# packed backup, so it comes as files, and is packed here.
take() {
    name=$(date -u +%Y%m%dT%H%M%SZ)
    part=$base/$name.part
    mkdir "$part" &&
        pg_basebackup --pgdata "$part/data" --checkpoint fast --wal-method stream --no-password &&
        ended=$(date -u +%s) &&
        pg_verifybackup --quiet "$part/data" &&
        tar -C "$part/data" -cf "$part/base.tar.gz" --use-compress-program 'gzip -3' . &&
        gzip --test "$part/base.tar.gz" &&
        mv "$part/data/backup_label" "$part/" &&
        rm -rf "$part/data" &&
        sync "$part/base.tar.gz" &&
        # To an instant before it ended it cannot be restored.
        touch -d "@$ended" "$part" &&
        mv "$part" "$base/$name" &&
        echo "{\"message\": \"base backup is taken and verified\", \"backup\": \"$name\"}"
}

# Before a backup as after it, and whether that works or not, or a full volume would stay full. The log that no backup needs any more
# goes too; its first segment is named in the label of the oldest that stays.
forget() {
    rm -rf "$base"/*.part
    oldest=$(date -u -d "@$(($(date -u +%s) - ${KEEP_DAYS:-7} * 86400))" +%Y%m%dT%H%M%SZ)
    backups | tail -n +3 | while read -r name; do
        [ "$(printf '%s\n%s\n' "$name" "$oldest" | sort | head -1)" = "$oldest" ] || rm -rf "${base:?}/$name"
    done
    last=$(backups | tail -1)
    [ -n "$last" ] || return 0
    first=$(sed -n 's/^START WAL LOCATION: .*(file \([0-9A-F]*\))$/\1/p' "$base/$last/backup_label")
    [ -z "$first" ] || pg_archivecleanup "$ARCHIVE/wal" "$first"
}

# due: when the newest is old enough; a restart of the pod takes none before.
due() {
    last=$(backups | head -1)
    [ -z "$last" ] && return
    [ "$(($(date -u +%s) - $(stat -c %Y "$base/$last")))" -ge "$every" ]
}

if [ -n "${ONCE:-}" ]; then
    forget && take && forget
    exit
fi
while :; do
    forget || echo '{"level": "ERROR", "message": "old base backups cannot be removed"}' >&2
    # A primary that is away for a moment is no reason to end: it is tried again, and said; recent.sh says when it lasts.
    if due; then
        take || echo '{"level": "ERROR", "message": "no base backup; tried again in half a minute"}' >&2
    fi
    sleep 30
done
