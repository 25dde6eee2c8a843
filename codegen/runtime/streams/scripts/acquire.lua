-- Makes the caller the owner of a group on a partition: its token is greater than all before it.
--
-- KEYS  1 owner  2 stream  3 counters  ARGV  1 group  2 least token
-- Returns the token and the id of the last entry that the group was given.
local group = ARGV[1]
local token = math.max(tonumber(ARGV[2]), tonumber(redis.call('GET', KEYS[1]) or '0') + 1)
redis.call('SET', KEYS[1], string.format('%.0f', token))

local created = redis.pcall('XGROUP', 'CREATE', KEYS[2], group, '0', 'MKSTREAM')
if created.err and not string.find(created.err, 'BUSYGROUP', 1, true) then return created end

-- A group that starts now has everything before the stream's first entry behind it.
local accepted = tonumber(redis.call('HGET', KEYS[3], 'accepted') or '0')
local behind = accepted - redis.call('XLEN', KEYS[2])
redis.call('HSETNX', KEYS[3], 'acked:' .. group, string.format('%.0f', behind))

local last = '0-0'
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[2])) do
  local fields = {}
  for at = 1, #info, 2 do fields[info[at]] = info[at + 1] end
  if fields.name == group then last = fields['last-delivered-id'] end
end
return {string.format('%.0f', token), last}
