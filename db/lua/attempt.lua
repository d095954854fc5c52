-- Counts an attempt as failed until it is given back, so that a thousand at once are a thousand. KEYS[1] attempts:{subject}.
-- ARGV: free attempts, seconds after which all is forgotten. Returns seconds to wait, 0 when the attempt may be made.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local free = tonumber(ARGV[1])
local failures = tonumber(redis.call('HGET', KEYS[1], 'failures')) or 0
local next_at = tonumber(redis.call('HGET', KEYS[1], 'next_at')) or 0
if failures >= free and next_at > now then
  return math.ceil((next_at - now) / 1000)
end
failures = failures + 1
local wait = 0
if failures >= free then
  wait = math.min(60, 2 ^ math.min(failures - free, 6))
end
redis.call('HSET', KEYS[1], 'failures', failures, 'next_at', string.format('%.0f', now + wait * 1000))
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 0
