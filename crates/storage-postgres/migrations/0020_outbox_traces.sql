-- W3C `traceparent` of the request that wrote the row, where its trace is sampled: the record that the relay sends carries it on.
ALTER TABLE outbox ADD COLUMN traceparent TEXT;
