-- KEYS: head, outbox. ARGV: run, clock, bid. Writes a little where the verdict is there, so that WAIT has something to
-- wait for that comes after it.
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 0 then return { 'missing' } end
redis.call('HINCRBY', KEYS[1], 'touched', 1)
return { 'there' }
