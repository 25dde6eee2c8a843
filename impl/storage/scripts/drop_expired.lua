-- Removes entries of an expiring map that are still what was read.
--
-- KEYS  1 the map  ARGV  pairs of field and entry
for item = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[item]) == ARGV[item + 1] then redis.call('HDEL', KEYS[1], ARGV[item]) end
end
return redis.status_reply('OK')
