-- Binds a partition to the server that holds it now, in the given epoch or a later one.
--
-- KEYS  1 generation  2 counters
-- ARGV  1 run id  2 replication id  3 epoch  4 first ordinal of that epoch
local current = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
if tonumber(ARGV[3]) > current then
  local accepted = tonumber(redis.call('HGET', KEYS[2], 'accepted') or '0')
  local start = math.max(accepted, tonumber(ARGV[4]))
  -- The lag of every group stays what it is.
  local fields = redis.call('HGETALL', KEYS[2])
  for field = 1, #fields, 2 do
    if string.sub(fields[field], 1, 6) == 'acked:' then
      local acked = tonumber(fields[field + 1]) + start - accepted
      redis.call('HSET', KEYS[2], fields[field], string.format('%.0f', acked))
    end
  end
  redis.call('HSET', KEYS[2], 'accepted', string.format('%.0f', start))
  redis.call('HSET', KEYS[1], 'epoch', ARGV[3])
end
redis.call('HSET', KEYS[1], 'run_id', ARGV[1], 'replication_id', ARGV[2])
return redis.call('HGET', KEYS[1], 'epoch')
