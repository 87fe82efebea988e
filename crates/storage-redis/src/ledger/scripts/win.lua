-- KEYS: head, lifetime, day, bucket. ARGV: run, clock, campaign, date, start, end, bidder, bid, nanos, window,
-- check, hour.
if not is_ready() then return { 'rebuilding' } end
local now = now_ms()
if sweep(now) then return { 'again' } end
local campaign, date, bidder, bid = ARGV[3], ARGV[4], ARGV[7], ARGV[8]
local nanos, check = tonumber(ARGV[9]), tonumber(ARGV[11])
local state, seen_check = known(KEYS[4], bid)
if state > 0 then return { seen_check == check and 'repeated' or 'conflict' } end
local life = account(KEYS[2])
local day = day_account(KEYS[3], life)
local held, until_ms, renewal = lease(day.key, bidder)
local is_leased = until_ms and held >= nanos
if not is_leased and room(life, day) < nanos then
  remember(KEYS[4], ARGV[12], bid, check, SEEN)
  return { 'unbacked' }
end
local sequence = next_sequence()
open(life, day, campaign, date, ARGV[5], ARGV[6])
if is_leased then
  set_lease(life, day, bidder, campaign .. '\0' .. date, held, held - nanos, until_ms, renewal)
  held = held - nanos
end
add(life, day, 'p', whole(nanos))
keep_win(bid, whole(nanos), false, date, campaign, whole(now + tonumber(ARGV[10])))
remember(KEYS[4], ARGV[12], bid, check, SEEN)
return { 'pending', whole(held), epoch, sequence }
