#!/bin/sh
# Formats the folder of one node if it is new, and starts the node. Java is called itself: no image's own scripts are needed.
#   KAFKA_HOST         how this node is reached; its last number is the node's own ("kafka-2.kafka" is node 2), or KAFKA_NODE_ID
#   KAFKA_VOTERS       the controllers: 0@host:9090,1@host:9090,...
#   KAFKA_CLUSTER_ID   16 bytes in base64 for URLs, the same on all nodes for ever
#   KAFKA_COPIES       of each topic that the nodes make for themselves (3)
#   ZONE               the rack: copies of a partition are spread over them
#   KAFKA_BIND         an address to listen on instead of all
#   KAFKA_CONFIG, KAFKA_RUN, KAFKA_DATA, KAFKA_HOME   folders, where they are others
set -eu
: "${KAFKA_HOST:?is not set}" "${KAFKA_VOTERS:?is not set}" "${KAFKA_CLUSTER_ID:?is not set}"
config=${KAFKA_CONFIG:-/etc/kafka-node}
own=${KAFKA_RUN:-/run/kafka}/server.properties
libraries="${KAFKA_HOME:-/opt/kafka}/libs/*"
bind=${KAFKA_BIND:-0.0.0.0}
copies=${KAFKA_COPIES:-3}
pod=${KAFKA_HOST%%.*}

options="-XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:+ExitOnOutOfMemoryError -XX:-UsePerfData -Djava.awt.headless=true"
logging="-Dlog4j2.configurationFile=$config/log4j2.properties"

{
    cat "$config/server.properties"
    echo "node.id=${KAFKA_NODE_ID:-${pod##*-}}"
    echo "controller.quorum.voters=$KAFKA_VOTERS"
    echo "listeners=CLIENT://$bind:9092,BROKER://$bind:9091,CONTROLLER://$bind:9090"
    echo "advertised.listeners=CLIENT://$KAFKA_HOST:9092,BROKER://$KAFKA_HOST:9091,CONTROLLER://$KAFKA_HOST:9090"
    echo "log.dirs=${KAFKA_DATA:-/var/lib/kafka}/data"
    [ -z "${ZONE:-}" ] || echo "broker.rack=$ZONE"
    echo "default.replication.factor=$copies"
    echo "offsets.topic.replication.factor=$copies"
    echo "transaction.state.log.replication.factor=$copies"
    # One less than there are: a node may be away, two may not.
    echo "min.insync.replicas=$((copies > 1 ? copies - 1 : 1))"
    echo "transaction.state.log.min.isr=$((copies > 1 ? copies - 1 : 1))"
} >"$own"

# shellcheck disable=SC2086 # several options
java -Xmx128m $options "$logging" -cp "$libraries" kafka.tools.StorageTool \
    format --ignore-formatted --cluster-id "$KAFKA_CLUSTER_ID" --config "$own"
# shellcheck disable=SC2086 # several options
exec java ${KAFKA_HEAP:--Xms1g -Xmx1g} $options "$logging" -cp "$libraries" kafka.Kafka "$own"
