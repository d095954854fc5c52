-- Sets a month's count as Postgres has it, unless another process was first or something was changed since it counted.
-- KEYS[1] epoch:{organization}, KEYS[2] quota:{organization}; ARGV: the epoch before counting, the month, the count.
local key = KEYS[2] .. ':' .. ARGV[2]
if digits_at(KEYS[1]) ~= ARGV[1] or redis.call('EXISTS', key) == 1 then
  return 0
end
redis.call('HSET', key, 'used', ARGV[3], 'generation', stamp())
redis.call('EXPIRE', key, 3456000)
return 1
