-- Notes what the database holds of conversations of one partition, and trims their hot tails to what it
-- does not hold and the newest entries.
--
-- KEYS  of each conversation: head, hot tail
-- ARGV  1 number of entries to keep anyway  then of each conversation: its highest persisted seq
local keep = tonumber(ARGV[1])
for item = 1, #KEYS / 2 do
  local head, tail, seq = KEYS[2 * item - 1], KEYS[2 * item], tonumber(ARGV[item + 1])
  local state = redis.call('HMGET', head, 'seq', 'persisted')
  if state[1] then
    local persisted = tonumber(state[2] or '0')
    if seq > persisted then
      persisted = seq
      redis.call('HSET', head, 'persisted', string.format('%.0f', seq))
    end
    local newest = redis.call('ZRANGE', tail, -keep - 1, -keep - 1, 'WITHSCORES')
    if newest[2] then
      local last = math.min(persisted, tonumber(newest[2]))
      redis.call('ZREMRANGEBYSCORE', tail, '-inf', string.format('%.0f', last))
    end
  end
end
return redis.status_reply('OK')
