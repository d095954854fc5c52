-- Makes every process forget what it remembers of an organization; with ARGV[1] = 1 its quota is counted anew, too.
-- KEYS[1] epoch:{organization}, KEYS[2] quota:{organization}; ARGV[2] the month whose count is dropped.
local fresh, epoch = stamp(), number_at(KEYS[1])
if tonumber(fresh) <= epoch then
  fresh = string.format('%.0f', epoch + 1)
end
redis.call('SET', KEYS[1], fresh, 'EX', 604800)
if ARGV[1] == '1' then
  redis.call('DEL', KEYS[2] .. ':' .. ARGV[2])
end
return fresh
