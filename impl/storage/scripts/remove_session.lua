-- Removes sessions that are still at the address they are removed from.
--
-- KEYS  1 the user's sessions  ARGV  pairs of session id and `<instance>|<boot id>|`
local removed = 0
for item = 1, #ARGV, 2 do
  local found = redis.call('HGET', KEYS[1], ARGV[item])
  if found and string.sub(found, 1, #ARGV[item + 1]) == ARGV[item + 1] then
    removed = removed + redis.call('HDEL', KEYS[1], ARGV[item])
  end
end
return removed
