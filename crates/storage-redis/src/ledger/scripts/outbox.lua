-- KEYS: head, outbox, outbox order. ARGV: run, clock, then 'due' with the latest time and the limit, or 'of' with bids.
-- Needs no fence: a verdict is repeated in the topic rather than lost.
if ARGV[3] == 'due' then
  return redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[4], 'WITHSCORES', 'LIMIT', 0, ARGV[5])
end
return redis.call('HMGET', KEYS[2], unpack(ARGV, 4))
