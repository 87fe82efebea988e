-- KEYS: head, then a lifetime and a day for each request. ARGV: run, clock, bidder, hold, then for each request
-- campaign, date, start, end, generation, revision, daily limit, total limit, wanted, bid, opportunities, bids, renewal.
if not is_ready() then return { 'rebuilding' } end
local now = now_ms()
if sweep(now) then return { 'again' } end
local bidder, until_ms = ARGV[3], whole(now + tonumber(ARGV[4]))
redis.call('HSET', KEYS[1], 'alive', whole(now))
local sequence = next_sequence()

local function keep_limits(life, day, generation, revision, daily, total)
  local is_older = is_less(generation, life.generation)
    or (generation == life.generation and is_less(revision, life.revision))
  local is_same = generation == life.generation and revision == life.revision and daily == life.daily and total == life.limit
  if not is_older and not is_same then
    redis.call('HSET', life.key, 'g', generation, 'r', revision, 'd', daily, 'm', total)
    life.generation, life.revision, life.daily, life.limit = generation, revision, daily, total
  end
  if day.limit ~= life.daily or day.revision ~= life.revision or day.generation ~= life.generation then
    redis.call('HSET', day.key, 'g', life.generation, 'r', life.revision, 'm', life.daily)
    day.limit = life.daily
  end
end

local function count(day, field, now_there, more)
  if more == '0' then return now_there end
  if not fits(now_there, more) then
    redis.call('HSET', day.key, field, ALL)
    return ALL
  end
  return whole(redis.call('HINCRBY', day.key, field, more))
end

local answers = { 'granted', epoch, sequence }
for request = 0, (#KEYS - 1) / 2 - 1 do
  local at = 4 + request * 13
  local campaign, date = ARGV[at + 1], ARGV[at + 2]
  local life = account(KEYS[2 + request * 2])
  local day = day_account(KEYS[3 + request * 2], life)
  local held, _, last_renewal = lease(day.key, bidder)
  local leased, opportunities, bids = held, day.opportunities, day.bids
  local is_overtaken = held > 0 and tonumber(ARGV[at + 13]) < tonumber(last_renewal)
  if not is_overtaken then
    open(life, day, campaign, date, ARGV[at + 3], ARGV[at + 4])
    keep_limits(life, day, ARGV[at + 5], ARGV[at + 6], ARGV[at + 7], ARGV[at + 8])
    opportunities = count(day, 'q', opportunities, ARGV[at + 11])
    bids = count(day, 'b', bids, ARGV[at + 12])
    leased = tonumber(ARGV[at + 9])
    if leased > held then
      local growth = math.max(0, math.min(leased - held, room(life, day)))
      leased = held + growth - math.fmod(growth, tonumber(ARGV[at + 10]))
    end
    set_lease(life, day, bidder, campaign .. '\0' .. date, held, leased, until_ms, ARGV[at + 13])
  end
  local others = day.leases - (held > 0 and 1 or 0)
  local day_leased, life_leased = unpack(leased == held and { day.leased, life.leased }
    or { redis.call('HGET', day.key, 'l'), redis.call('HGET', life.key, 'l') })
  answers[#answers + 1] = { whole(leased), day.limit, day.spent, day.pending, day_leased,
    life.limit, life.spent, life.pending, life_leased, whole(others + 1), opportunities, bids }
end
return answers
