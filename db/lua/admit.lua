-- One round trip for one request with an API key: is what the process remembers still current, may the organization
-- go on this minute, and is its month's quota left? Consumes both or none; time is this server's own.
-- KEYS[1] epoch:{organization}, KEYS[2] rate_limit:{organization}, KEYS[3] quota:{organization}
-- ARGV: epoch the process remembers, or * for what it has read since the request began; requests a minute, requests
-- a month (-1: no hard quota)
-- Returns {verdict, epoch, seconds, minute_left, minute_wait, month_used, month, generation};
-- verdicts: ok, stale, rate, quota, load
local epoch = digits_at(KEYS[1])
if not epoch then
  epoch = stamp()
  redis.call('SET', KEYS[1], epoch, 'EX', 604800)
end
if ARGV[1] ~= '*' and epoch ~= ARGV[1] then
  return {'stale', epoch, seconds, 0, 0, 0, '', ''}
end

-- The month of this server's clock in UTC (days to civil date, Howard Hinnant's algorithm).
local z = math.floor(seconds / 86400) + 719468
local era = math.floor(z / 146097)
local doe = z - era * 146097
local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
local mp = math.floor((5 * doy + 2) / 153)
local number = mp < 10 and mp + 3 or mp - 9
local year = yoe + era * 400 + (number <= 2 and 1 or 0)
local month = string.format('%04d-%02d', year, number)

local limit, quota = tonumber(ARGV[2]), tonumber(ARGV[3])
local month_used, generation = -1, ''
local quota_key = KEYS[3] .. ':' .. month
if quota >= 0 then
  local held = redis.pcall('HMGET', quota_key, 'used', 'generation')
  if held.err or not is_number(held[1]) or not is_number(held[2]) then
    redis.call('DEL', quota_key)
    return {'load', epoch, seconds, 0, 0, 0, month, ''}
  end
  month_used, generation = tonumber(held[1]), held[2]
end

local used, wait, left = used_of(KEYS[2], limit, 60)
if wait > 0 then
  return {'rate', epoch, seconds, 0, wait, month_used, month, ''}
end
if quota >= 0 and month_used >= quota then
  return {'quota', epoch, seconds, limit - used, left, month_used, month, ''}
end

count_in(KEYS[2], 60)
if quota >= 0 then
  month_used = redis.call('HINCRBY', quota_key, 'used', 1)
end
return {'ok', epoch, seconds, limit - used - 1, left, month_used, month, generation}
