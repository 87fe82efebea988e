#!/bin/sh
# Run by Patroni on the first primary, once: the application's role, which is no superuser, and its database.
#   $1                                    how to connect, as the superuser
#   APPLICATION_USERNAME, APPLICATION_PASSWORD, APPLICATION_DATABASE
set -eu
# psql quotes them; a value never becomes part of a statement by itself. Variables are read from the environment inside, since
# arguments stand in the process list.
exec psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname "$1" <<'SQL'
\getenv username APPLICATION_USERNAME
\getenv password APPLICATION_PASSWORD
\getenv database APPLICATION_DATABASE
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', :'username', :'password')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'username') \gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'username')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', :'database') \gexec
SQL
