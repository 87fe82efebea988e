-- KEYS: head. ARGV: run, clock, before, days that stay because something is out on them, and the hour that ends at or
-- before the instant and part of it. Removing comes first: so it works on a full memory too.
if not is_ready() then return { 'rebuilding' } end
local before, skipped = ARGV[3], tonumber(ARGV[4])
for _, hour in ipairs(redis.call('SMEMBERS', BUCKETS)) do
  if tonumber(hour) * 3600000 < tonumber(before) then
    local from = tonumber(ARGV[5])
    for start = from, math.min(from + 3, 7) do
      local keys = {}
      for part = start * 512, start * 512 + 511 do keys[#keys + 1] = prefix .. 'b:' .. hour .. ':' .. part end
      redis.call('UNLINK', unpack(keys))
    end
    if from + 4 <= 7 then return { 'more', ARGV[4], whole(from + 4) } end
    redis.call('SREM', BUCKETS, hour)
    return { 'more', ARGV[4], '0' }
  end
end
local due = redis.call('ZRANGEBYSCORE', DAYS_DUE, '-inf', '(' .. before, 'LIMIT', skipped, 500)
for _, name in ipairs(due) do
  local date, campaign = string.match(name, '^([^:]*):(.*)$')
  local day = account(account_key(date, campaign))
  if tonumber(day.leased) == 0 and tonumber(day.pending) == 0 then
    redis.call('DEL', day.key)
    redis.call('ZREM', DAYS_DUE, name)
    redis.call('ZREM', INDEX, campaign .. '\0' .. date)
  else
    skipped = skipped + 1
  end
end
return { #due == 500 and 'more' or 'done', whole(skipped), '0' }
