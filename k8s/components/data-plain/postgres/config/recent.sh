#!/bin/sh
# Ready: a base backup is there, and the newest is not older than two intervals. A pod that is not ready is what an operator hears of.
#   ARCHIVE         the folder
#   EVERY_SECONDS   86400
set -eu
newest=$(find "$ARCHIVE/base" -mindepth 1 -maxdepth 1 -type d -name '*Z' -printf '%T@\n' | sort -n | tail -1)
[ -n "$newest" ] || { echo "no base backup is there"; exit 1; }
age=$(($(date -u +%s) - ${newest%.*}))
[ "$age" -le $((2 * ${EVERY_SECONDS:-86400})) ] || { echo "the newest base backup is $age s old"; exit 1; }
