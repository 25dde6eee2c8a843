-- Accepts up to 64 messages of one partition: membership, deduplication, seq, stream, head, hot tail.
-- Items are independent: what is refused changes nothing.
--
-- KEYS  1 stream  2 counters  3 generation  4-6 dedupe
--       then of each item: head, members, hot tail
-- ARGV  1 highest ordinal known to have been accepted  2, 3 protobuf tags of epoch and seq
--       4 jump of seq at a new epoch
--       then of each item: dedupe field, payload hash, event,
--       '<sender> <message id> <created, ms>' and what the database said:
--       '' (not asked), or 'NEW 0 0 <members>', or 'STORED <epoch> <seq> <members>'
-- Returns 'STALE', or lines: the partition's last ordinal, and for each item
--       'OK' or 'DUPLICATE' with '<message id> <epoch> <seq> <created, ms>', or 'COLD', 'NOT_A_MEMBER', 'REUSED'
local SHARED_KEYS, SHARED_ARGS, ITEM_KEYS, ITEM_ARGS = 6, 4, 3, 5
local SLOTS, SLOT_SECONDS, DEDUPE_SECONDS = 3, 1800, 7200

local stream, counters, generation = KEYS[1], KEYS[2], KEYS[3]
local epoch = tonumber(redis.call('HGET', generation, 'epoch') or '')
local state = redis.call('HMGET', counters, 'accepted', 'slot')
local accepted = tonumber(state[1] or '0')
if not epoch or accepted < tonumber(ARGV[1]) then return 'STALE' end
local epoch_tag, seq_tag, jump = ARGV[2], ARGV[3], tonumber(ARGV[4])

local function digits(number) return string.format('%.0f', number) end

local function varint(number)
  local bytes = {}
  while number >= 128 do
    local low = number % 128
    bytes[#bytes + 1] = string.char(low + 128)
    number = (number - low) / 128
  end
  bytes[#bytes + 1] = string.char(number)
  return table.concat(bytes)
end

-- The server's clock alone says which dedupe hash is current; it never goes back.
local slot = math.floor(tonumber(redis.call('TIME')[1]) / SLOT_SECONDS)
local last_slot = tonumber(state[2] or '0')
if slot > last_slot then
  for passed = math.max(last_slot + 1, slot - SLOTS + 1), slot do
    redis.call('UNLINK', KEYS[4 + passed % SLOTS])
  end
  redis.call('HSET', counters, 'slot', digits(slot))
else
  slot = last_slot
end
local dedupe = KEYS[4 + slot % SLOTS]

local function first_result(field)
  for back = 0, SLOTS - 1 do
    local found = redis.call('HGET', KEYS[4 + (slot - back) % SLOTS], field)
    if found then return string.match(found, '^(%S+ %S+ %S+ %S+) (.*)$') end
  end
end

local function listed(members, user)
  return string.find(' ' .. members .. ' ', ' ' .. user .. ' ', 1, true) ~= nil
end

-- Where a conversation goes on in this epoch, by what Redis and the database know of it.
local function warm(keys, head_epoch, head_seq, loaded)
  local seq = math.max(head_seq, loaded.seq)
  if seq > 0 and math.max(head_epoch, loaded.epoch) < epoch then seq = seq + jump end
  if head_epoch == 0 or loaded.state == 'STORED' then
    for user in string.gmatch(loaded.members, '%S+') do
      redis.call('HSETNX', keys.members, user, 'member 0')
    end
  end
  if loaded.seq > 0 then redis.call('HSET', keys.head, 'persisted', digits(loaded.seq)) end
  return seq
end

local function accept(keys, field, sender, id, time, hash, event, loaded)
  local head = redis.call('HMGET', keys.head, 'epoch', 'seq')
  local head_epoch, seq = tonumber(head[1] or '0'), tonumber(head[2] or '0')
  local cold = head_epoch < epoch
  if cold and not loaded.state then return 'COLD' end
  local told = cold and (head_epoch == 0 or loaded.state == 'STORED') and listed(loaded.members, sender)
  if not told and redis.call('HEXISTS', keys.members, sender) == 0 then return 'NOT_A_MEMBER' end

  local first, first_hash = first_result(field)
  if first then return first_hash == hash and 'DUPLICATE ' .. first or 'REUSED' end

  -- Nothing was written so far: a head must not move without an entry.
  if cold then seq = warm(keys, head_epoch, seq, loaded) end
  seq = seq + 1
  accepted = accepted + 1
  local envelope = event .. epoch_tag .. varint(epoch) .. seq_tag .. varint(seq)
  redis.call('XADD', stream, '*', 'payload', envelope, 'ordinal', digits(accepted))
  redis.call('HSET', counters, 'accepted', digits(accepted))
  redis.call('HSET', keys.head, 'epoch', digits(epoch), 'seq', digits(seq), 'id', id)
  redis.call('ZADD', keys.tail, digits(seq), envelope)
  local result = table.concat({id, digits(epoch), digits(seq), time}, ' ')
  redis.call('HSET', dedupe, field, result .. ' ' .. hash)
  return 'OK ' .. result
end

local results = {}
for item = 1, (#KEYS - SHARED_KEYS) / ITEM_KEYS do
  local key, arg = SHARED_KEYS + (item - 1) * ITEM_KEYS, SHARED_ARGS + (item - 1) * ITEM_ARGS
  local keys = {head = KEYS[key + 1], members = KEYS[key + 2], tail = KEYS[key + 3]}
  local sender, id, time = string.match(ARGV[arg + 4], '^(%S+) (%S+) (%S+)$')
  local state, stored_epoch, stored_seq, members = string.match(ARGV[arg + 5], '^(%S+) (%S+) (%S+) (.*)$')
  local loaded = {state = state, epoch = tonumber(stored_epoch), seq = tonumber(stored_seq), members = members}
  results[item] = accept(keys, ARGV[arg + 1], sender, id, time, ARGV[arg + 2], ARGV[arg + 3], loaded)
end
redis.call('EXPIRE', dedupe, DEDUPE_SECONDS)
return digits(accepted) .. '\n' .. table.concat(results, '\n')
