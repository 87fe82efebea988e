-- KEYS: head. ARGV: run, clock, hold, bidder or nothing, how long a claim lives.
-- Looks at the group; begins a new epoch where the server is another than the one it was good on; claims it for a bidder.
local function read_head()
  return redis.call('HMGET', KEYS[1], 'run', 'state', 'epoch', 'after', 'alive', 'complete', 'bidder', 'claimed_until')
end
local now = now_ms()
local head = read_head()
if head[1] ~= ARGV[1] or not head[2] then
  -- Higher than any before, also where the memory of those before is lost.
  local epoch = math.max(tonumber(head[3] or '0') + 1, math.floor(now / 1000) - 1577836800)
  local alive = math.min(tonumber(head[5] or '0'), now)
  local complete = alive > now - 3600000 and whole(alive - 60000) or ''
  redis.call('HDEL', KEYS[1], 'bidder', 'claimed_until')
  redis.call('HSET', KEYS[1], 'run', ARGV[1], 'state', 'ending', 'epoch', whole(epoch), 'after', whole(now + tonumber(ARGV[3])),
    'complete', complete)
  head = read_head()
end
if head[2] == 'ready' then return { 'ready' } end
if head[2] == 'ending' then
  -- No lease of before counts any more: what it may still back comes to an end during the wait.
  if end_leases('+inf', 500) == 500 then return { 'again' } end
  redis.call('HSET', KEYS[1], 'state', 'waiting')
end
if ARGV[4] == '' or now < tonumber(head[4]) or now < tonumber(head[8] or '0') then return { 'waiting' } end
if head[6] == '' then
  -- What is left is too old to be of use, or the half of another's attempt.
  redis.call('UNLINK', WINS, WINS_DUE, LEASES_DUE, DAYS_DUE)
  local names = redis.call('ZRANGEBYLEX', INDEX, '-', '+', 'LIMIT', 0, 1000)
  for _, name in ipairs(names) do
    local campaign, date = string.match(name, '^(%Z*)%z(%Z*)$')
    redis.call('UNLINK', account_key(date, campaign))
    redis.call('ZREM', INDEX, name)
  end
  if #names == 1000 then return { 'again' } end
  local hour = redis.call('SRANDMEMBER', BUCKETS)
  if hour then
    for start = 0, 7 do
      local keys = {}
      for part = start * 512, start * 512 + 511 do keys[#keys + 1] = prefix .. 'b:' .. hour .. ':' .. part end
      redis.call('UNLINK', unpack(keys))
    end
    redis.call('SREM', BUCKETS, hour)
    return { 'again' }
  end
end
redis.call('HSET', KEYS[1], 'bidder', ARGV[4], 'claimed_until', whole(now + tonumber(ARGV[5])))
return { 'claimed', head[3], head[6] }
