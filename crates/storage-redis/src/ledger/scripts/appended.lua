-- KEYS: head, outbox, outbox order. ARGV: run, clock, bids. Needs no fence: what is in the topic is in the topic.
redis.call('HDEL', KEYS[2], unpack(ARGV, 3))
redis.call('ZREM', KEYS[3], unpack(ARGV, 3))
return { 'removed' }
