-- KEYS: head, lifetime, day, bucket, outbox, outbox order. ARGV: run, clock, campaign, date, start, end, bidder,
-- bid, charge, check, hour, context.
if not is_ready() then return { 'rebuilding' } end
local now = now_ms()
if sweep(now) then return { 'again' } end
local campaign, date, bidder, bid = ARGV[3], ARGV[4], ARGV[7], ARGV[8]
local charge, check = tonumber(ARGV[9]), tonumber(ARGV[10])
local state, seen_check = known(KEYS[4], bid)
if state > 0 and seen_check ~= check then return { 'conflict' } end
if state == SETTLED then return { 'repeated' } end
local won = state == SEEN and win(bid) or nil
local life = account(KEYS[2])
local day = day_account(KEYS[3], life)
local held, until_ms, renewal = lease(day.key, bidder)
local won_nanos = won and tonumber(won.nanos) or 0
local free = math.min(MOST, room(life, day) + won_nanos)

-- A win that a rebuild put back may never have been backed: within known limits it takes only what is free.
local is_pending = won and charge <= won_nanos and (not won.is_restored or charge <= free or not is_told(life))
local from
if is_pending then from = 'pending'
elseif charge <= free then from = 'free'
elseif charge <= held then from = 'lease'
elseif not (fits(life.over, ARGV[9]) and fits(day.over, ARGV[9])) then return { 'out-of-range' } end

local sequence = next_sequence()
open(life, day, campaign, date, ARGV[5], ARGV[6])
if won then end_win(bid, won) end
if from == 'lease' then
  set_lease(life, day, bidder, campaign .. '\0' .. date, held, held - charge, until_ms, renewal)
  held = held - charge
end
add(life, day, from and 's' or 'o', ARGV[9])
add(life, day, 'n', 1)
local charged, over = from and ARGV[9] or '0', from and '0' or ARGV[9]
local kept = { charged, over, whole(now), whole(#campaign), whole(#date), campaign .. date .. ARGV[12] }
redis.call('HSET', KEYS[5], bid, table.concat(kept, ' '))
redis.call('ZADD', KEYS[6], whole(now), bid)
remember(KEYS[4], ARGV[11], bid, check, SETTLED)
return { from or 'over', ARGV[9], whole(held), epoch, sequence }
