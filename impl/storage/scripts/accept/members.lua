-- Second part of the accept script: members, and conversations that only the database knows.

local FIELDS_AT_ONCE = 1000
local SCORES_OF_A_NUMBER = 1024

-- An entry of the members hash; nil for who never was a member. Entries of two fields are older.
local function member_of(entry)
  if not entry then return nil end
  local role, joined, left, delivered, read = match(entry, '^(%S+) (%S+) (%S+) (%S+) (%S+)')
  if not role then
    role, joined = match(entry, '^(%S+) (%S+)')
    left, delivered, read = '0', '0', '0'
  end
  return {role = role, joined = joined, left = left, delivered = tonumber(delivered), read = tonumber(read)}
end

local function entry_of(member)
  local delivered, read = digits(member.delivered), digits(member.read)
  return table.concat({member.role, member.joined, member.left, delivered, read}, ' ')
end

local function call_in_portions(command, key, values)
  for first = 1, #values, FIELDS_AT_ONCE do
    call(command, key, unpack(values, first, math.min(first + FIELDS_AT_ONCE - 1, #values)))
  end
end

-- The roster of members in the order in which they came; those who came together get scores in between.
local function fill_roster(key, members)
  local scores, joined, together = {}, nil, 0
  for position = 1, #members, 2 do
    local number = match(members[position + 1], '^%S+ (%S+)')
    together = number == joined and together + 1 or 0
    joined = number
    scores[position] = together == 0 and number or string.format('%.17g', number + together / SCORES_OF_A_NUMBER)
    scores[position + 1] = members[position]
  end
  call_in_portions('ZADD', key, scores)
end

local function set_room(keys, settings)
  local fields = {}
  for name, value in pairs(settings) do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  if #fields > 0 then call('HSET', keys.room, unpack(fields)) end
end

local function replace_members(keys, stored)
  call('UNLINK', keys.members, keys.room, keys.roster)
  call_in_portions('HSET', keys.members, stored.members)
  if stored.room then
    fill_roster(keys.roster, stored.members)
    set_room(keys, stored.room)
  end
end

-- Takes what the database knows where Redis knows less: all that Redis holds was accepted, but it may have
-- lost what the database has stored since. Takes no number.
local function believe_stored(keys, head_epoch, head_seq, stored)
  if stored.seq then
    if stored.epoch > head_epoch or stored.seq > head_seq then
      replace_members(keys, stored)
      head_epoch, head_seq = math.max(head_epoch, stored.epoch), math.max(head_seq, stored.seq)
      -- The id is no longer that of the last event.
      call('HSET', keys.head, 'epoch', digits(head_epoch), 'seq', digits(head_seq), 'id', '0')
    end
    local persisted = tonumber(call('HGET', keys.head, 'persisted') or '0')
    call('HSET', keys.head, 'persisted', digits(math.max(persisted, stored.seq)))
  end
  if head_epoch > 0 then call('HSET', keys.head, 'asked', epoch_digits) end
  return head_epoch, head_seq, stored.founders or {}
end

-- Epoch and number of the last event, 0 if there is none, and who may begin the conversation then. Nil if the
-- database must be asked first: it is asked once in each epoch.
local function position(keys, loaded)
  local head = call('HMGET', keys.head, 'epoch', 'seq', 'asked')
  if head[1] == epoch_digits or head[3] == epoch_digits then return tonumber(head[1]), tonumber(head[2]) end
  if loaded == '' then return nil end
  return believe_stored(keys, tonumber(head[1] or '0'), tonumber(head[2] or '0'), cjson.decode(loaded))
end
