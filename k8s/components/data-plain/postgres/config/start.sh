#!/bin/sh
# Starts Patroni, which starts PostgreSQL.
set -eu
# A volume that was given to a group may have opened the folder to it; PostgreSQL refuses that.
data=${PATRONI_POSTGRESQL_DATA_DIR:-/var/lib/postgresql/data}
[ ! -d "$data" ] || chmod 0700 "$data"
bin=$(echo /usr/lib/postgresql/*/bin)
export PATRONI_POSTGRESQL_BIN_DIR="$bin" PATH="$bin:$PATH"
exec patroni "${POSTGRES_CONFIG:-/etc/postgres}/patroni.yaml"
