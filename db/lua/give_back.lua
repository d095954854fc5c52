-- Gives one request back to the month it was taken from; a count that was loaded anew since never held it.
-- KEYS[1] quota:{organization}; ARGV: the month, the generation it was taken from.
local key = KEYS[1] .. ':' .. ARGV[1]
local held = redis.pcall('HMGET', key, 'used', 'generation')
if held.err or held[2] ~= ARGV[2] or (tonumber(held[1]) or 0) <= 0 then
  return 0
end
redis.call('HINCRBY', key, 'used', -1)
return 1
