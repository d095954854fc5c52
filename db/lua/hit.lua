-- Counts one call against a sliding window of two weighted neighbours; a refusal does not count.
-- KEYS[1] limit:{bucket:subject}; ARGV: calls allowed, seconds of the window. Returns seconds to wait, 0 when allowed.
local length = tonumber(ARGV[2])
local _, wait = used_of(KEYS[1], tonumber(ARGV[1]), length)
if wait == 0 then
  count_in(KEYS[1], length)
end
return wait
