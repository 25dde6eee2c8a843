-- Acknowledges entries for the group's owner, and trims the stream behind all groups.
--
-- KEYS  1 stream  2 owner  3 counters  4 dead
-- ARGV  1 group  2 token  3 entries to retain  4 '1' if the entries cannot be decoded
--       5 number of groups  then all groups  then entry ids
local stream, counters, group = KEYS[1], KEYS[3], ARGV[1]
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return redis.error_reply('FENCED another owner has the partition') end
local retain, groups, first_id = tonumber(ARGV[3]), tonumber(ARGV[5]), 6 + tonumber(ARGV[5])
local TRIM_AT_LEAST, TRIM_AT_MOST = 128, 1024

if ARGV[4] == '1' then
  for at = first_id, #ARGV do
    local entry = redis.call('XRANGE', stream, ARGV[at], ARGV[at])[1]
    if entry then redis.call('XADD', KEYS[4], '*', 'group', group, 'entry', ARGV[at], unpack(entry[2])) end
  end
end

local acknowledged = redis.call('XACK', stream, group, unpack(ARGV, first_id))
redis.call('HINCRBY', counters, 'acked:' .. group, acknowledged)

local function before(a, b)
  local a_time, a_number = string.match(a, '^(%d+)-(%d+)$')
  local b_time, b_number = string.match(b, '^(%d+)-(%d+)$')
  a_time, b_time = tonumber(a_time), tonumber(b_time)
  return a_time < b_time or (a_time == b_time and tonumber(a_number) < tonumber(b_number))
end

-- Entries that every group has acknowledged, by the counters.
local function spare()
  local accepted = tonumber(redis.call('HGET', counters, 'accepted') or '0')
  local lag = 0
  for at = 6, first_id - 1 do
    local acked = redis.call('HGET', counters, 'acked:' .. ARGV[at])
    if not acked then return 0 end
    lag = math.max(lag, accepted - tonumber(acked))
  end
  return redis.call('XLEN', stream) - lag - retain
end

-- The first entry that some group still needs: its first pending one, or the last one it was given.
local function needed()
  local first, found = nil, {}
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local fields = {}
    for at = 1, #info, 2 do fields[info[at]] = info[at + 1] end
    local id = fields['last-delivered-id']
    if fields.pending > 0 then id = redis.call('XPENDING', stream, fields.name)[2] end
    found[fields.name] = true
    if not first or before(id, first) then first = id end
  end
  for at = 6, first_id - 1 do
    if not found[ARGV[at]] then return nil end
  end
  return first
end

local count = math.min(spare(), TRIM_AT_MOST)
if count >= TRIM_AT_LEAST then
  local bound = needed()
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', count + 1)
  local kept = oldest[#oldest]
  if bound and kept then
    if before(kept[1], bound) then bound = kept[1] end
    redis.call('XTRIM', stream, 'MINID', bound)
  end
end
return acknowledged
