-- Moves forward the mark until where an organization has written; it never goes back, and one that was passed lives no longer.
-- KEYS[1] written:{organization}; ARGV: a place in Postgres's log as 20 digits, seconds to live. Twenty digits are compared
-- as text: a number of this language holds no more than sixteen of them.
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and #held == 20 and held > ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
