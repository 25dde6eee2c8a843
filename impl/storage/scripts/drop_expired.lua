-- Removes sessions whose entries are still what was read.
--
-- KEYS  1 the user's sessions  ARGV  pairs of session id and entry
for item = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[item]) == ARGV[item + 1] then redis.call('HDEL', KEYS[1], ARGV[item]) end
end
return redis.status_reply('OK')
