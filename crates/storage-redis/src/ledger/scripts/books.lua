-- Shared by every script: what the group's keys hold and how to compute with it.
-- Amounts are decimal strings of 64 bits, changed by HINCRBY alone. Lua counts in doubles: sums are compared in two
-- parts of nine digits, exactly below MOST, and anything above counts as MOST.
local MOST = 9007199000000000
local ALL = '9223372036854775807'
local prefix = string.sub(KEYS[1], 1, -5)
local LEASES_DUE, WINS, WINS_DUE = prefix .. 'leases-due', prefix .. 'wins', prefix .. 'wins-due'
local INDEX, DAYS_DUE, BUCKETS = prefix .. 'index', prefix .. 'days-due', prefix .. 'buckets'
local SEEN, SETTLED = 1, 2

local function whole(number) return string.format('%.0f', number) end

-- By the server's clock; ARGV[2] is another, in tests.
local function now_ms()
  if ARGV[2] ~= '' then return tonumber(ARGV[2]) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Keys that no command names. While the slot moves, some may be elsewhere, and the first touch of one ends the script: here,
-- before anything is written, or half of it would hold.
local function all_here() redis.call('EXISTS', LEASES_DUE, WINS, WINS_DUE, INDEX, DAYS_DUE, BUCKETS) end

-- The group answers only on the server that it was last rebuilt for: a restarted or promoted one may lack the last writes.
local epoch
local function is_ready()
  all_here()
  local head = redis.call('HMGET', KEYS[1], 'run', 'state', 'epoch')
  epoch = head[3]
  return head[1] == ARGV[1] and head[2] == 'ready'
end

-- Raised by every script that changes a lease.
local function next_sequence() return whole(redis.call('HINCRBY', KEYS[1], 'sequence', 1)) end

local function split(text)
  local is_negative = string.sub(text, 1, 1) == '-'
  if is_negative then text = string.sub(text, 2) end
  local low, high = tonumber(string.sub(text, -9)), tonumber(string.sub(text, 1, -10)) or 0
  if is_negative then return -high, -low end
  return high, low
end

local function carry(high, low)
  local over = math.floor(low / 1e9)
  return high + over, low - over * 1e9
end

-- Whether two sums that are not negative add up within 64 bits.
local function fits(one, other)
  if #one < 18 and #other < 18 then return true end
  local high, low = split(one)
  local other_high, other_low = split(other)
  high, low = carry(high + other_high, low + other_low)
  return high < 9223372036 or (high == 9223372036 and low <= 854775807)
end

local function is_less(one, other)
  local high, low = split(one)
  local other_high, other_low = split(other)
  return high < other_high or (high == other_high and low < other_low)
end

local function account_key(date, campaign) return prefix .. 'a:' .. date .. ':' .. campaign end

-- An account that is not there has no limits told and nothing free. A limit of '' is none.
local function account(key)
  local f = redis.call('HMGET', key, 'g', 'r', 'd', 'm', 's', 'p', 'l', 'o', 'n', 'q', 'b', 'k')
  return { key = key, is_there = f[1] ~= false, generation = f[1] or '-1', revision = f[2] or '-1',
    daily = f[3] or '0', limit = f[4] or '0', spent = f[5] or '0', pending = f[6] or '0', leased = f[7] or '0',
    over = f[8] or '0', settled = f[9] or '0', opportunities = f[10] or '0', bids = f[11] or '0',
    leases = tonumber(f[12] or '0') }
end

-- A day not seen before has the campaign's limit.
local function day_account(key, life)
  local day = account(key)
  if not day.is_there then day.limit = life.daily end
  return day
end

local function is_told(of) return of.generation ~= '-1' or of.revision ~= '-1' end

local function room_of(of)
  local high, low = split(of.limit == '' and ALL or of.limit)
  for _, amount in ipairs({ of.spent, of.pending, of.leased }) do
    local amount_high, amount_low = split(amount)
    high, low = high - amount_high, low - amount_low
  end
  high, low = carry(high, low)
  if high >= 9007199 then return MOST end
  if high < -9007199 then return -MOST end
  return high * 1e9 + low
end

local function room(life, day) return math.min(room_of(life), room_of(day)) end

-- Both accounts come into being with the first step that writes to them.
local function open(life, day, campaign, date, start_ms, end_ms)
  if not life.is_there then
    redis.call('HSET', life.key, 'g', '-1', 'r', '-1', 'd', '0', 'm', '0')
    redis.call('ZADD', INDEX, 0, campaign .. '\0')
    life.is_there = true
  end
  if day and not day.is_there then
    redis.call('HSET', day.key, 'g', life.generation, 'r', life.revision, 'm', life.daily, 'a', start_ms, 'e', end_ms)
    redis.call('ZADD', INDEX, 0, campaign .. '\0' .. date)
    redis.call('ZADD', DAYS_DUE, end_ms, date .. ':' .. campaign)
    day.is_there = true
  end
end

local function add(life, day, field, nanos)
  redis.call('HINCRBY', day.key, field, nanos)
  redis.call('HINCRBY', life.key, field, nanos)
end

-- A lease is kept as nanos, its end, and the number of its last renewal.
local function lease(day_key, bidder)
  local held = redis.call('HGET', day_key, 'L' .. bidder)
  if not held then return 0, nil, nil end
  local nanos, until_ms, renewal = string.match(held, '^(%d+) (%d+) (%d+)$')
  return tonumber(nanos), until_ms, renewal
end

-- Sets the lease; the amounts of its accounts follow.
local function set_lease(life, day, bidder, names, held, nanos, until_ms, renewal)
  local member = names .. '\0' .. bidder
  if nanos ~= held then add(life, day, 'l', whole(nanos - held)) end
  if nanos > 0 then
    redis.call('HSET', day.key, 'L' .. bidder, whole(nanos) .. ' ' .. until_ms .. ' ' .. renewal)
    redis.call('ZADD', LEASES_DUE, until_ms, member)
    if held == 0 then redis.call('HINCRBY', day.key, 'k', 1) end
  elseif held > 0 then
    redis.call('HDEL', day.key, 'L' .. bidder)
    redis.call('ZREM', LEASES_DUE, member)
    redis.call('HINCRBY', day.key, 'k', -1)
  end
end

local function end_leases(until_score, most)
  local due = redis.call('ZRANGEBYSCORE', LEASES_DUE, '-inf', until_score, 'LIMIT', 0, most)
  for _, member in ipairs(due) do
    local campaign, date, bidder = string.match(member, '^(%Z*)%z(%Z*)%z(%Z*)$')
    local life, day = { key = account_key('', campaign) }, { key = account_key(date, campaign) }
    local held = lease(day.key, bidder)
    redis.call('HEXISTS', life.key, 'g')
    if held > 0 then set_lease(life, day, bidder, campaign .. '\0' .. date, held, 0)
    else redis.call('ZREM', LEASES_DUE, member) end
  end
  return #due
end

-- A pending win is kept as nanos, whether a rebuild put it there, and its accounts.
local function win(bid)
  local found = redis.call('HGET', WINS, bid)
  if not found then return nil end
  local nanos, is_restored, date, campaign = string.match(found, '^(%d+) (%d) ([^:]*):(.*)$')
  return { nanos = nanos, is_restored = is_restored == '1', life = account_key('', campaign), day = account_key(date, campaign) }
end

local function end_win(bid, of)
  redis.call('ZREM', WINS_DUE, bid)
  redis.call('HDEL', WINS, bid)
  if of and of.nanos ~= '0' then add({ key = of.life }, { key = of.day }, 'p', '-' .. of.nanos) end
end

local function end_wins(now, most)
  local due = redis.call('ZRANGEBYSCORE', WINS_DUE, '-inf', whole(now), 'LIMIT', 0, most)
  for _, bid in ipairs(due) do
    local of = win(bid)
    if of then
      redis.call('HEXISTS', of.life, 'g')
      redis.call('HEXISTS', of.day, 'g')
    end
    end_win(bid, of)
  end
  return #due
end

-- Frees what the clock has ended. True: there was something, and the caller comes again before anything is decided: a key
-- whose last member went must not be touched twice in one script, since while the slot moves it is elsewhere from then on.
local function sweep(now)
  return end_leases(whole(now), 500) + end_wins(now, 500) > 0
end

local function keep_win(bid, nanos, is_restored, date, campaign, until_ms)
  redis.call('HSET', WINS, bid, nanos .. ' ' .. (is_restored and '1' or '0') .. ' ' .. date .. ':' .. campaign)
  redis.call('ZADD', WINS_DUE, until_ms, bid)
end

-- What is remembered of a bid is one small number: its state, and some bits of its campaign.
local function remember(bucket, hour, bid, check, state)
  redis.call('HSET', bucket, bid, whole(check * 4 + state))
  redis.call('SADD', BUCKETS, hour)
end

local function known(bucket, bid)
  local found = tonumber(redis.call('HGET', bucket, bid) or '0')
  return found % 4, math.floor(found / 4)
end
