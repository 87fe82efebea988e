-- KEYS: head, then a lifetime, a day and a bucket for each fact. ARGV: run, clock, bidder, epoch, how long a claim lives,
-- then for each fact its kind, campaign, date, start, end, bid, check, hour and four figures.
all_here()
local head = redis.call('HMGET', KEYS[1], 'run', 'state', 'epoch', 'bidder')
if head[1] ~= ARGV[1] or head[2] ~= 'waiting' or head[3] ~= ARGV[4] or head[4] ~= ARGV[3] then return { 'conflict' } end
local now = now_ms()

-- Each answers whether the fact is taken: not when a sum would leave its range. One that was taken before changes nothing.
local function checkpoint(life, day, _, at)
  local of = ARGV[at + 3] == '' and life or day
  if redis.call('HGET', of.key, 'c') == head[3] then return true end
  open(life, ARGV[at + 3] ~= '' and day or nil, ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5])
  redis.call('HSET', of.key, 's', ARGV[at + 9], 'o', ARGV[at + 10], 'n', ARGV[at + 11], 'c', head[3])
  return true
end

local function settled(life, day, bucket, at)
  local bid, is_counted = ARGV[at + 6], ARGV[at + 12] == '1'
  if known(bucket, bid) == SETTLED then return true end
  if not is_counted and not (fits(life.spent, ARGV[at + 9]) and fits(life.over, ARGV[at + 10])) then return false end
  local won = win(bid)
  if won then end_win(bid, won) end
  if not is_counted then
    open(life, day, ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5])
    add(life, day, 's', ARGV[at + 9])
    add(life, day, 'o', ARGV[at + 10])
    add(life, day, 'n', 1)
  end
  remember(bucket, ARGV[at + 8], bid, tonumber(ARGV[at + 7]), SETTLED)
  return true
end

local function won(life, day, bucket, at)
  local bid = ARGV[at + 6]
  if known(bucket, bid) == SETTLED or win(bid) then return true end
  if not fits(life.pending, ARGV[at + 9]) then return false end
  open(life, day, ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5])
  add(life, day, 'p', ARGV[at + 9])
  local until_ms = math.max(tonumber(ARGV[at + 10]), now + 60000)
  keep_win(bid, ARGV[at + 9], true, ARGV[at + 3], ARGV[at + 2], whole(until_ms))
  remember(bucket, ARGV[at + 8], bid, tonumber(ARGV[at + 7]), SEEN)
  return true
end

local apply = { checkpoint = checkpoint, settled = settled, won = won }

redis.call('HSET', KEYS[1], 'claimed_until', whole(now + tonumber(ARGV[5])))
for fact = 0, (#KEYS - 1) / 3 - 1 do
  local at, key = 5 + fact * 12, 2 + fact * 3
  local life, day = account(KEYS[key]), account(KEYS[key + 1])
  if not apply[ARGV[at + 1]](life, day, KEYS[key + 2], at) then return { 'out-of-range' } end
end
return { 'restored' }
