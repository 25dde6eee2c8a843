-- Removes entries of an expiring map that still have the value with which they are removed.
--
-- KEYS  1 the map  ARGV  pairs of field and `<value>|`
for item = 1, #ARGV, 2 do
  local found = redis.call('HGET', KEYS[1], ARGV[item])
  local expiry = found and string.match(found, '|[^|]*$')
  if expiry and string.sub(found, 1, -#expiry) == ARGV[item + 1] then redis.call('HDEL', KEYS[1], ARGV[item]) end
end
return redis.status_reply('OK')
