-- One user joins one audience; what has ended goes.
-- KEYS: audiences
-- ARGV: audience, until_ms, now_ms
local audiences, audience = KEYS[1], ARGV[1]
local until_ms, now_ms = tonumber(ARGV[2]), tonumber(ARGV[3])

-- Nothing: a membership from before they had ends.
local function ends_ms(value)
  if value == '' then
    return math.huge
  end
  return tonumber(value) or 0
end

local known = redis.call('HGET', audiences, audience)
if not known or ends_ms(known) < until_ms then
  redis.call('HSET', audiences, audience, ARGV[2])
end

-- The hash goes a minute after its last membership, since the callers' clocks, which say what is over, are not this server's.
local last_ms = now_ms
local all = redis.call('HGETALL', audiences)
for i = 1, #all, 2 do
  local ends = ends_ms(all[i + 1])
  if ends <= now_ms then
    redis.call('HDEL', audiences, all[i])
  elseif ends > last_ms then
    last_ms = ends
  end
end
if last_ms == math.huge then
  redis.call('PERSIST', audiences)
elseif last_ms > now_ms then
  redis.call('PEXPIRE', audiences, string.format('%.0f', last_ms - now_ms + 60000))
end
return 1
