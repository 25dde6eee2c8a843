-- Reads entries for the group's owner.
--
-- KEYS  1 stream  2 owner  ARGV  1 group  2 consumer  3 token  4 count  5 '>' or the id to read pending ones after
-- Returns entries as XRANGE does.
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return redis.error_reply('FENCED another owner has the partition') end
local reply = redis.pcall('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[4], 'STREAMS', KEYS[1], ARGV[5])
if not reply then return {} end
if reply.err then
  -- The stream was lost under its owner, who has to acquire it again.
  if string.find(reply.err, 'NOGROUP', 1, true) then return redis.error_reply('FENCED the group is gone') end
  return reply
end
return reply[1][2]
