#!/bin/sh
# One PostgreSQL: made at first with the application's role and database, then started.
#   POSTGRES_PASSWORD, APPLICATION_USERNAME, APPLICATION_PASSWORD, APPLICATION_DATABASE
set -eu
: "${POSTGRES_PASSWORD:?is not set}" "${APPLICATION_PASSWORD:?is not set}"
PATH="$(echo /usr/lib/postgresql/*/bin):$PATH"
data=/var/lib/postgresql/data

# Under another name until it is whole: what was interrupted is made again.
if [ ! -d "$data" ]; then
    rm -rf "$data.new"
    printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --pgdata "$data.new" --username postgres --pwfile /tmp/password --encoding UTF8 --locale C.UTF-8 --data-checksums \
        --auth-local trust --auth-host scram-sha-256 >/dev/null
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$data.new/pg_hba.conf"
    pg_ctl --pgdata "$data.new" --wait --silent --options "-c listen_addresses= -k /tmp" start >/dev/null
    sh /etc/postgres/create-database.sh 'host=/tmp user=postgres dbname=postgres'
    pg_ctl --pgdata "$data.new" --wait --silent stop
    mv "$data.new" "$data"
fi
exec postgres -D "$data" -c listen_addresses='*' -k /tmp -c max_connections=200 -c timezone=UTC
