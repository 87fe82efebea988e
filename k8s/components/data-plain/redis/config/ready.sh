#!/bin/sh
# Ready: answers, and has its master's data. So a rolling update takes no master away before its replica is whole.
set -eu
told=$(redis-cli -h "${REDIS_BIND:-127.0.0.1}" info replication)
case $told in
    *role:master*) ;;
    *master_link_status:up*) ;;
    *) echo "not ready: $told" | head -3; exit 1 ;;
esac
