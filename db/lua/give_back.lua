-- Gives one request back to the month it was taken from. KEYS[1] quota:{organization}; ARGV[1] the month.
local key = KEYS[1] .. ':' .. ARGV[1]
if (tonumber(redis.call('GET', key)) or 0) > 0 then
  return redis.call('DECR', key)
end
return 0
