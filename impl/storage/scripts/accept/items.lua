-- Last part of the accept script: sends, marks, and the batch.

-- Lets the founders of a conversation in that nobody knows yet; says what refuses it.
local function begin(keys, founders, sender)
  local entries, admitted = {}, false
  for position, user in ipairs(founders) do
    admitted = admitted or user == sender
    entries[2 * position - 1], entries[2 * position] = user, 'member 0 0 0 0'
  end
  if #founders == 0 then return 'UNKNOWN' end
  if not admitted then return 'NOT_A_MEMBER' end
  call('HSET', keys.members, unpack(entries))
end

local function accept_send(item)
  local keys, sender = item.keys, item.user
  local first, hash = first_result(item.field)
  if first then return hash == item.detail and 'DUPLICATE ' .. first or 'REUSED' end
  local head_epoch, last, founders = position(keys, item.loaded)
  if not head_epoch then return 'COLD' end
  if head_epoch == 0 then
    local refusal = begin(keys, founders, sender)
    if refusal then return refusal end
  end
  local role, joined, left = match(call('HGET', keys.members, sender) or '', '^(%S+) (%S+) ?(%S*)')
  if not role or (left ~= '0' and left ~= '') then return 'NOT_A_MEMBER' end

  local seq = following(head_epoch, last)
  local number = digits(seq)
  append(keys, item.id, seq, number, item.event)
  -- Who sends has received and read what was before.
  call('HSET', keys.members, sender, table.concat({role, joined, '0', number, number}, ' '))
  local result = table.concat({item.id, epoch_digits, number, item.time}, ' ')
  call('HSET', dedupe, item.field, result .. ' ' .. item.detail)
  return 'OK ' .. result
end

local function accept_mark(item)
  local keys, user = item.keys, item.user
  local head_epoch, last = position(keys, item.loaded)
  if not head_epoch then return 'COLD' end
  local entry = call('HGET', keys.members, user)
  local member = member_of(entry)
  if not member or member.left ~= '0' then return 'NOT_A_MEMBER' end

  local delivered, read = match(item.detail, '^(%S+) (%S+)$')
  read = math.min(tonumber(read), last)
  delivered = math.min(math.max(tonumber(delivered), read), last)
  local moved = ''
  if delivered > member.delivered then
    member.delivered, moved = delivered, delivered_tag .. varint(delivered)
  end
  if read > member.read then
    member.read, moved = read, moved .. read_tag .. varint(read)
  end
  if moved ~= '' then
    local mark = item.field .. moved
    publish(item.event .. mark_tag .. varint(#mark) .. mark)
    put(keys, user, member)
  end
  return 'OK ' .. entry_of(member)
end

local function load_conversation(item)
  local head_epoch = position(item.keys, item.loaded)
  if not head_epoch then return 'COLD' end
  return head_epoch > 0 and 'OK' or 'UNKNOWN'
end

local kinds = {send = accept_send, change = accept_change, mark = accept_mark, load = load_conversation}
local results = {}
for number = 1, (#KEYS - SHARED_KEYS) / ITEM_KEYS do
  local key, arg = SHARED_KEYS + (number - 1) * ITEM_KEYS, SHARED_ARGS + (number - 1) * ITEM_ARGS
  local keys = {
    head = KEYS[key + 1], members = KEYS[key + 2], tail = KEYS[key + 3], room = KEYS[key + 4], roster = KEYS[key + 5],
  }
  local kind, user, id, time = match(ARGV[arg + 4], '^(%S+) (%S+) (%S+) (%S+)$')
  results[number] = kinds[kind]({
    keys = keys, field = ARGV[arg + 1], detail = ARGV[arg + 2], event = ARGV[arg + 3],
    user = user, id = id, time = time, loaded = ARGV[arg + 5],
  })
end
call('EXPIRE', dedupe, DEDUPE_SECONDS)
return digits(accepted) .. '\n' .. table.concat(results, '\n')
