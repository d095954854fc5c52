-- Counts one call against a sliding window of two weighted neighbours; a refusal does not count.
-- KEYS[1] limit:{bucket:subject}; ARGV: calls allowed, seconds of the window. Returns seconds to wait, 0 when allowed.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local slot = math.floor(now / window)
local elapsed = now - slot * window
local current_key = KEYS[1] .. ':' .. string.format('%d', slot)
local current = tonumber(redis.call('GET', current_key)) or 0
local previous = tonumber(redis.call('GET', KEYS[1] .. ':' .. string.format('%d', slot - 1))) or 0
if previous * (window - elapsed) / window + current + 1 > limit then
  local wait
  if current + 1 <= limit then
    wait = window * (1 - (limit - 1 - current) / previous) - elapsed
  else
    wait = window - elapsed + window * (1 - (limit - 1) / current)
  end
  return math.max(1, math.ceil(wait))
end
redis.call('INCR', current_key)
if current == 0 then
  redis.call('EXPIRE', current_key, window * 2)
end
return 0
