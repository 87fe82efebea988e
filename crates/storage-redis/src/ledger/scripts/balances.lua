-- KEYS: head. ARGV: run, clock, 'names' with after and limit, or 'accounts' with names, or 'campaigns' with campaigns.
if not is_ready() then return { 'rebuilding' } end
local names = {}
if ARGV[3] == 'names' then
  local after = ARGV[4] == '' and '-' or '(' .. ARGV[4]
  return { 'names', redis.call('ZRANGEBYLEX', INDEX, after, '+', 'LIMIT', 0, ARGV[5]) }
elseif ARGV[3] == 'accounts' then
  for at = 4, #ARGV do names[#names + 1] = ARGV[at] end
else
  for at = 4, #ARGV do
    local found = redis.call('ZRANGEBYLEX', INDEX, '[' .. ARGV[at] .. '\0', '(' .. ARGV[at] .. '\1')
    for _, name in ipairs(found) do names[#names + 1] = name end
  end
end
local accounts = {}
for _, name in ipairs(names) do
  local campaign, date = string.match(name, '^(%Z*)%z(%Z*)$')
  local key = account_key(date, campaign)
  local of = account(key)
  local period = redis.call('HMGET', key, 'a', 'e')
  if of.is_there then
    accounts[#accounts + 1] = { campaign, date, period[1] or '0', period[2] or '0', of.limit, of.spent, of.pending, of.leased,
      of.over, of.settled }
  end
end
return { 'accounts', accounts }
