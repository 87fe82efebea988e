#!/bin/sh
# Takes a base backup every so often, verifies it, and removes those that are too old with the log before them. The newest two stay
# whatever their age.
#   ARCHIVE                      the folder
#   PGHOST, PGUSER, PGPASSWORD   the primary
#   EVERY_SECONDS, KEEP_DAYS     21600, 7
#   ONCE=1                       one backup, and the end
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
export PATH="$bin:$PATH"
every=${EVERY_SECONDS:-21600}
base=$ARCHIVE/base
mkdir -p "$base"

# Names of finished backups, newest first.
backups() { find "$base" -mindepth 1 -maxdepth 1 -type d -name '*Z' -printf '%f\n' | sort -r; }

# take: where it is asked whether this worked, `set -e` does not end it; each step asks for the one before.
take() {
    rm -rf "$base"/*.part
    name=$(date -u +%Y%m%dT%H%M%SZ)
    # Touched when it ended: to an instant before that it cannot be restored.
    pg_basebackup --pgdata "$base/$name.part" --checkpoint fast --wal-method fetch --no-password &&
        pg_verifybackup --quiet "$base/$name.part" &&
        touch "$base/$name.part" &&
        mv "$base/$name.part" "$base/$name" &&
        echo "{\"message\": \"base backup is taken and verified\", \"backup\": \"$name\"}"
}

# The log that no backup needs any more goes too; its first segment is named in the label of the oldest that stays.
forget() {
    oldest=$(date -u -d "@$(($(date -u +%s) - ${KEEP_DAYS:-7} * 86400))" +%Y%m%dT%H%M%SZ)
    backups | tail -n +3 | while read -r name; do
        [ "$(printf '%s\n%s\n' "$name" "$oldest" | sort | head -1)" = "$oldest" ] || rm -rf "${base:?}/$name"
    done
    first=$(sed -n 's/^START WAL LOCATION: .*(file \([0-9A-F]*\))$/\1/p' "$base/$(backups | tail -1)/backup_label")
    [ -z "$first" ] || pg_archivecleanup "$ARCHIVE/wal" "$first"
}

# due: when the newest is old enough; a restart of the pod takes none before.
due() {
    last=$(backups | head -1)
    [ -z "$last" ] && return
    [ "$(($(date -u +%s) - $(stat -c %Y "$base/$last")))" -ge "$every" ]
}

if [ -n "${ONCE:-}" ]; then
    take && forget
    exit
fi
while :; do
    # A primary that is away for a moment is no reason to end: it is tried again, and said.
    if due; then
        { take && forget; } || echo '{"level": "ERROR", "message": "no base backup; tried again in a minute"}' >&2
    fi
    sleep 60
done
