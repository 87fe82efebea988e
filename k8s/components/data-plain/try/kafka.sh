# shellcheck shell=bash
# Three nodes on 127.0.2.10 to .12, each in a zone of its own; the jars are those of the tests. Sourced by try.sh.
KAFKA_BROKERS=127.0.2.10:9092,127.0.2.11:9092,127.0.2.12:9092

kafka_node() {
    mkdir -p "$DIR/kafka-$1/run" "$DIR/kafka-$1/data"
    start "kafka-$1" env KAFKA_HOST="127.0.2.1$1" KAFKA_NODE_ID="$1" KAFKA_BIND="127.0.2.1$1" ZONE="zone-$1" KAFKA_HEAP=-Xmx320m \
        KAFKA_VOTERS=0@127.0.2.10:9090,1@127.0.2.11:9090,2@127.0.2.12:9090 KAFKA_CLUSTER_ID=7mW3Yw2mQ0mJ1v5dXkq4Tg \
        KAFKA_CONFIG="$PWD/$HERE/kafka/config" KAFKA_RUN="$DIR/kafka-$1/run" KAFKA_DATA="$DIR/kafka-$1" KAFKA_HOME="$DIR/kafka" \
        sh "$HERE/kafka/config/start.sh"
}
kafka_tool() { java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$DIR/kafka/libs/*" "$@" 2>>"$DIR/kafka-tools.log"; }
topics() { kafka_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$KAFKA_BROKERS" "$@"; }
kafka_answers() { topics --list; }
in_sync() { [ "$(topics --describe --topic try | grep -oE 'Isr: [0-9,]+' | tr -d 'Isr: ' | tr , '\n' | wc -l)" = "$1" ]; }
racks() { kafka_tool org.apache.kafka.tools.BrokerApiVersionsCommand --bootstrap-server "$KAFKA_BROKERS" | grep -oE 'rack: zone-[0-9]' | sort -u | wc -l; }
has_three_racks() { [ "$(racks)" = 3 ]; }

listens() { (exec 3<>"/dev/tcp/127.0.2.1$1/$2") 2>/dev/null; }
only_brokers_port_is_open() { within 60 listens 0 9090 && sleep 5 && ! listens 0 9092; }

# By default settings of the cluster: three copies, two in sync.
makes_a_topic() { topics --create --if-not-exists --topic try --partitions 3 && topics --describe --topic try | grep -q 'ReplicationFactor: 3' &&
    topics --describe --topic try | grep -q 'min.insync.replicas=2'; }

# write NUMBER: a record "NUMBER.0", acknowledged by all that are in sync, or not within 8 s.
write() {
    printf 'delivery.timeout.ms=8000\nrequest.timeout.ms=3000\n' >"$DIR/producer.properties"
    kafka_tool org.apache.kafka.tools.VerifiableProducer --bootstrap-server "$KAFKA_BROKERS" --topic try --max-messages 1 --acks -1 \
        --value-prefix "$1" --producer.config "$DIR/producer.properties" >"$DIR/write.log" && grep -q producer_send_success "$DIR/write.log"
}
read_all() {
    kafka_tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$KAFKA_BROKERS" --topic try --from-beginning \
        --timeout-ms 8000 | sort
}
writes_with_one_away() { kill_hard kafka-2 && within 40 write 2; }
refuses_with_two_away() { kill_hard kafka-1 && ! write 3; }
comes_back() {
    # One that was sent again may stand there twice.
    kafka_node 1 && kafka_node 2 && within 90 in_sync 9 && [ "$(read_all | sort -u | grep -cE '^(1|2)[.]0$')" = 2 ]
}

try_kafka() {
    need_program java default-jre-headless
    mkdir -p "$DIR/kafka"
    if [ -e target/kafka/4.1.0/complete ]; then
        ln -s "$PWD/target/kafka/4.1.0" "$DIR/kafka/libs"
    else
        need_program mvn maven
        mvn -q -B -f tests/servers/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$DIR/kafka/libs"
    fi
    local i
    # What readiness means: the port is shut until the controllers let the broker in, and one node alone is none.
    kafka_node 0
    holds "kafka: a broker that nobody let in does not listen to clients" only_brokers_port_is_open
    for i in 1 2; do kafka_node "$i"; done
    holds "kafka: three nodes format themselves and elect" within 120 kafka_answers
    holds "kafka: each broker names its zone as its rack" within 30 has_three_racks
    holds "kafka: a topic has three copies, two of which must be in sync" within 30 makes_a_topic
    holds "kafka: takes a record" write 1
    holds "kafka: takes one with a node killed" writes_with_one_away
    holds "kafka: takes none with two killed" refuses_with_two_away
    holds "kafka: both come back, formatted no second time, and have what was acknowledged" comes_back
}
end_kafka() { kill_hard kafka-{0..2}; }
