-- Notes how far a user has received; never goes back.
--
-- KEYS  1 the user's positions  ARGV  1 seconds to live  2 most conversations
--       then triples of conversation, epoch, seq
for item = 3, #ARGV, 3 do
  local epoch, seq = tonumber(ARGV[item + 1]), tonumber(ARGV[item + 2])
  local found = redis.call('HGET', KEYS[1], ARGV[item])
  -- Whoever names conversations that do not exist fills nothing but what is their own.
  local fits = found or redis.call('HLEN', KEYS[1]) < tonumber(ARGV[2])
  local old_epoch, old_seq = string.match(found or '0 0', '^(%d+) (%d+)$')
  old_epoch, old_seq = tonumber(old_epoch), tonumber(old_seq)
  if fits and (epoch > old_epoch or (epoch == old_epoch and seq > old_seq)) then
    redis.call('HSET', KEYS[1], ARGV[item], ARGV[item + 1] .. ' ' .. ARGV[item + 2])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return redis.status_reply('OK')
