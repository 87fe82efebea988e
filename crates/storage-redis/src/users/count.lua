-- One impression, once per event. Everything is checked before the first write; Redis refuses the first write of a script
-- when its memory is full, so that nothing is half done.
-- KEYS: counters, events
-- ARGV: event, now_ms, hold_ms, then field and window_ms of each counter
local counters, events = KEYS[1], KEYS[2]
local event, now_ms, hold_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local day_ms = 86400000
local today = math.floor(now_ms / day_ms)

local known_until = redis.call('HGET', events, event)
if known_until and tonumber(known_until) >= today then
  return 0
end

redis.call('HSET', events, event, string.format('%.0f', today + math.ceil(hold_ms / day_ms) + 1))
if redis.call('PTTL', events) < hold_ms then
  redis.call('PEXPIRE', events, string.format('%.0f', hold_ms + day_ms))
end
-- Once a day, so that a busy user's events are not read at each of them.
local swept = redis.call('HGET', events, 'swept')
if tonumber(swept or '0') ~= today then
  local all = redis.call('HGETALL', events)
  for i = 1, #all, 2 do
    if all[i] ~= 'swept' and tonumber(all[i + 1]) < today then
      redis.call('HDEL', events, all[i])
    end
  end
  redis.call('HSET', events, 'swept', string.format('%.0f', today))
end

local function ends_and_impressions(value)
  local ends_ms, impressions = string.match(value, '^(-?%d+)/(%d+)$')
  return tonumber(ends_ms or '0'), tonumber(impressions or '0')
end

for i = 4, #ARGV, 2 do
  local ends_ms, impressions = now_ms + tonumber(ARGV[i + 1]), 0
  local value = redis.call('HGET', counters, ARGV[i])
  if value then
    local running_until_ms, so_far = ends_and_impressions(value)
    if running_until_ms > now_ms then
      ends_ms, impressions = running_until_ms, so_far
    end
  end
  redis.call('HSET', counters, ARGV[i], string.format('%.0f/%.0f', ends_ms, math.min(impressions + 1, 4294967295)))
end

-- What is over would be read with each bid; the rest goes a minute after its last window, since the callers' clocks, which
-- say what is over, are not this server's.
local last_ms = now_ms
local all = redis.call('HGETALL', counters)
for i = 1, #all, 2 do
  local ends_ms = ends_and_impressions(all[i + 1])
  if ends_ms <= now_ms then
    redis.call('HDEL', counters, all[i])
  elseif ends_ms > last_ms then
    last_ms = ends_ms
  end
end
if last_ms > now_ms then
  redis.call('PEXPIRE', counters, string.format('%.0f', last_ms - now_ms + 60000))
end
return 1
