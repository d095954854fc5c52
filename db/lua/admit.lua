-- One round trip for one request with an API key: is what the process remembers still current, may the organization
-- go on this minute, and is its month's quota left? Consumes both or none; time is this server's own.
-- KEYS[1] epoch:{organization}, KEYS[2] rate_limit:{organization}, KEYS[3] quota:{organization}
-- ARGV: epoch the process remembers, requests a minute, requests a month (-1: no hard quota)
-- Returns {verdict, epoch, seconds, minute_left, minute_wait, month_used, month}; verdicts: ok, stale, rate, quota, load
local time = redis.call('TIME')
local now, micro = tonumber(time[1]), tonumber(time[2])

local epoch = redis.call('GET', KEYS[1])
if not epoch then
  epoch = time[1] .. string.format('%06d', micro)
  redis.call('SET', KEYS[1], epoch, 'EX', 604800)
end
if epoch ~= ARGV[1] then
  return {'stale', epoch, now, 0, 0, 0, ''}
end

-- The month of this server's clock in UTC (days to civil date, Howard Hinnant's algorithm).
local z = math.floor(now / 86400) + 719468
local era = math.floor(z / 146097)
local doe = z - era * 146097
local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
local mp = math.floor((5 * doy + 2) / 153)
local month = mp < 10 and mp + 3 or mp - 9
local year = yoe + era * 400 + (month <= 2 and 1 or 0)
local month_name = string.format('%04d-%02d', year, month)

local limit, quota = tonumber(ARGV[2]), tonumber(ARGV[3])
local minute = math.floor(now / 60)
local elapsed = now - minute * 60 + micro / 1000000
local current_key = KEYS[2] .. ':' .. string.format('%d', minute)
local current = tonumber(redis.call('GET', current_key)) or 0
local previous = tonumber(redis.call('GET', KEYS[2] .. ':' .. string.format('%d', minute - 1))) or 0
local used = previous * (60 - elapsed) / 60 + current

local quota_key = KEYS[3] .. ':' .. month_name
local month_used = -1
if quota >= 0 then
  month_used = tonumber(redis.call('GET', quota_key))
  if not month_used then
    return {'load', epoch, now, 0, 0, 0, month_name}
  end
end

if used + 1 > limit then
  local wait
  if current + 1 <= limit then
    wait = 60 * (1 - (limit - 1 - current) / previous) - elapsed
  else
    wait = 60 - elapsed + 60 * (1 - (limit - 1) / current)
  end
  return {'rate', epoch, now, 0, math.max(1, math.ceil(wait)), month_used, month_name}
end
if quota >= 0 and month_used >= quota then
  return {'quota', epoch, now, math.floor(limit - used), math.ceil(60 - elapsed), month_used, month_name}
end

redis.call('INCR', current_key)
if current == 0 then
  redis.call('EXPIRE', current_key, 120)
end
if quota >= 0 then
  month_used = redis.call('INCR', quota_key)
end
return {'ok', epoch, now, math.floor(limit - used - 1), math.ceil(60 - elapsed), month_used, month_name}
