-- First part of the accept script: what all items of a batch share.
--
-- A batch is up to 64 writes to conversations of one partition. They are independent of each other: what is
-- refused takes no number and leaves nothing behind.
--
-- KEYS  1 stream  2 counters  3 generation  4-6 dedupe
--       then of each item: head, members, hot tail, room, roster
-- ARGV  1 highest ordinal known to have been accepted  2, 3 protobuf tags of epoch and seq
--       4 jump of seq at a new epoch  5 tag of a mark, 6, 7 tags of its delivered_seq and read_seq
--       8 the join policy of an open room
--       then of each item five, as its kind wants them:
--         kind     1                  2                      3      4
--         send     dedupe field       payload hash           event  'send <sender> <id> <created, ms>'
--         change   dedupe field       what changes, as JSON  event  'change <actor> <id> <created, ms>'
--         mark     the mark's user_id '<delivered> <read>'   event  'mark <user> 0 0'
--         load     ''                 ''                     ''     'load 0 0 0'
--       and 5 what the database said: '' (not asked), or JSON: either `founders`, if it does not know the
--       conversation, or `epoch`, `seq`, `members` (user, entry, user, entry, …) and perhaps `room`
-- Returns 'STALE', or lines: the partition's last ordinal, and for each item 'COLD' if the database must be
--       asked first, 'UNKNOWN' if nobody knows the conversation, or
--         send     'OK' or 'DUPLICATE' with '<id> <epoch> <seq> <created, ms>', or 'NOT_A_MEMBER', 'REUSED'
--         change   'OK <id> <epoch> <seq> <created, ms> <entry of the target>', 'UNCHANGED <that entry>',
--                  'DENIED <standing of the actor> <of the target>', 'ROOM_FULL', 'OWNER_MUST_TRANSFER'
--         mark     'OK <entry>', 'NOT_A_MEMBER'
--         load     'OK'
local SHARED_KEYS, SHARED_ARGS, ITEM_KEYS, ITEM_ARGS = 6, 8, 5, 5
local SLOTS, SLOT_SECONDS, DEDUPE_SECONDS = 3, 1800, 7200

local call, match = redis.call, string.match
local stream, counters, generation = KEYS[1], KEYS[2], KEYS[3]
local epoch_digits = call('HGET', generation, 'epoch')
local epoch = tonumber(epoch_digits or '')
local counted = call('HMGET', counters, 'accepted', 'slot')
local accepted = tonumber(counted[1] or '0')
if not epoch or accepted < tonumber(ARGV[1]) then return 'STALE' end
local seq_tag, jump = ARGV[3], tonumber(ARGV[4])
local mark_tag, delivered_tag, read_tag = ARGV[5], ARGV[6], ARGV[7]
local open_policy = ARGV[8]

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

local epoch_field = ARGV[2] .. varint(epoch)

-- The server's clock alone says which dedupe hash is current; it never goes back.
local slot = math.floor(tonumber(call('TIME')[1]) / SLOT_SECONDS)
local last_slot = tonumber(counted[2] or '0')
if slot > last_slot then
  for passed = math.max(last_slot + 1, slot - SLOTS + 1), slot do
    call('UNLINK', KEYS[4 + passed % SLOTS])
  end
  call('HSET', counters, 'slot', digits(slot))
else
  slot = last_slot
end
local dedupe = KEYS[4 + slot % SLOTS]

-- What was answered the first time, and what the item was: '<id> <epoch> <seq> <created, ms>', the rest.
local function first_result(field)
  for back = 0, SLOTS - 1 do
    local found = call('HGET', KEYS[4 + (slot - back) % SLOTS], field)
    if found then return match(found, '^(%S+ %S+ %S+ %S+) (.*)$') end
  end
end

local function publish(envelope)
  accepted = accepted + 1
  local ordinal = digits(accepted)
  call('XADD', stream, '*', 'payload', envelope, 'ordinal', ordinal)
  call('HSET', counters, 'accepted', ordinal)
end

-- The number after `last`, the last one of a conversation, which it got in the epoch `last_epoch`.
local function following(last_epoch, last)
  if last > 0 and last_epoch < epoch then return last + jump + 1 end
  return last + 1
end

-- Gives an event its number, of which `number` is the text.
local function append(keys, id, seq, number, event)
  local envelope = event .. epoch_field .. seq_tag .. varint(seq)
  publish(envelope)
  call('HSET', keys.head, 'epoch', epoch_digits, 'seq', number, 'id', id)
  call('ZADD', keys.tail, number, envelope)
end
