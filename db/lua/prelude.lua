-- What every script begins with: this server's time, and our own way to read counters.
local clock = redis.call('TIME')
local seconds, micro = tonumber(clock[1]), tonumber(clock[2])

-- A time that only grows on this server: epochs and generations are made of it.
local function stamp()
  return clock[1] .. string.format('%06d', micro)
end

-- Whether a value can be a number of ours, one that INCR takes: no sign, no leading zero, not too long.
local function is_number(value)
  return type(value) == 'string' and #value <= 17 and (value == '0' or string.find(value, '^[1-9]%d*$'))
end

-- The digits under a key, or nil. What somebody else has put under one of our names is removed, never trusted.
local function digits_at(key)
  local value = redis.pcall('GET', key)
  if is_number(value) then
    return value
  end
  if value then
    redis.call('DEL', key)
  end
  return nil
end

local function number_at(key)
  return tonumber(digits_at(key) or '0')
end

-- A sliding window: the calls of this slot, and those of the one before by the share of it that still counts, whole ones.
-- Returns the calls used, the seconds until one is free (0 when one is), and the seconds left of the slot.
local function used_of(name, limit, length)
  local slot = math.floor(seconds / length)
  local left = (slot + 1) * length * 1000000 - seconds * 1000000 - micro
  local current = number_at(name .. ':' .. string.format('%d', slot))
  local previous = number_at(name .. ':' .. string.format('%d', slot - 1))
  local used = math.floor(previous * left / (length * 1000000)) + current
  local wait = 0
  if used >= limit then
    if current < limit then
      wait = left / 1000000 - length * (limit - current) / previous
    else
      wait = left / 1000000 + length * (1 - limit / math.max(current, 1))
    end
    wait = math.max(1, math.floor(wait) + 1)
  end
  return used, wait, math.ceil(left / 1000000)
end

local function count_in(name, length)
  local key = name .. ':' .. string.format('%d', math.floor(seconds / length))
  if redis.call('INCR', key) == 1 then
    redis.call('EXPIRE', key, length * 2)
  end
end

