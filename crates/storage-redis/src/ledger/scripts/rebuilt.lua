-- KEYS: head. ARGV: run, clock, bidder, epoch.
local head = redis.call('HMGET', KEYS[1], 'run', 'state', 'epoch', 'bidder')
if head[1] == ARGV[1] and head[2] == 'ready' and head[3] == ARGV[4] then return { 'ready' } end
if head[1] ~= ARGV[1] or head[2] ~= 'waiting' or head[3] ~= ARGV[4] or head[4] ~= ARGV[3] then return { 'conflict' } end
redis.call('HDEL', KEYS[1], 'bidder', 'claimed_until', 'complete')
redis.call('HSET', KEYS[1], 'state', 'ready', 'alive', whole(now_ms()))
return { 'ready' }
