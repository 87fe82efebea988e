#!/bin/sh
# Runs a test program if it is of the lane in LANE. Cargo calls it for each; one that no lane names is of the rest.
case "${1##*/}" in
backends-*) lane=backends ;;
restore-*) lane=restore ;;
kafka-* | postgres-* | redis-* | users-*) lane=stores ;;
*) lane=rest ;;
esac
[ "$lane" = "${LANE:?which lane?}" ] || exit 0
exec "$@"
