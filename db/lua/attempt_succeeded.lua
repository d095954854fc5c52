-- The attempt was right: it no longer counts, or with ARGV[1] = 1 none of the former failures does. KEYS[1] attempts:{subject}.
if ARGV[1] == '1' then
  return redis.call('DEL', KEYS[1])
end
if (tonumber(redis.call('HGET', KEYS[1], 'failures')) or 0) > 0 then
  return redis.call('HINCRBY', KEYS[1], 'failures', -1)
end
return 0
