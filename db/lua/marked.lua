-- Until where an organization has written, as 20 digits; empty when nobody knows. KEYS[1] written:{organization}.
-- What somebody else has put under our name tells nothing, and is removed.
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and #held == 20 and string.find(held, '^%d+$') then
  return held
end
if held then
  redis.call('DEL', KEYS[1])
end
return ''
