#!/bin/sh
# Streams the primary's log into the archive, as it is written. Ends when the connection does, and is started again: one that goes
# on ending is seen as a pod that restarts. The slot keeps what was not received yet, up to max_slot_wal_keep_size; behind a
# promotion, wal_keep_size does.
#   ARCHIVE                  the folder
#   PGHOST, PGUSER, PGPASSWORD   the primary, by the Service that always leads to it
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
export PATH="$bin:$PATH"
mkdir -p "$ARCHIVE/wal"
pg_receivewal --slot archive --create-slot --if-not-exists
# Flushed at once: what a commit waits for on a standby is here a moment later too.
exec pg_receivewal --slot archive --directory "$ARCHIVE/wal" --no-loop --synchronous
