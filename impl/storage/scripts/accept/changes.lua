-- Third part of the accept script: changes of rooms.

local function standing(member, open)
  if member and member.left == '0' then return member.role end
  return open and 'guest' or 'stranger'
end

local function put(keys, user, member)
  call('HSET', keys.members, user, entry_of(member))
end

local function count(keys)
  call('HSET', keys.room, 'count', digits(call('ZCARD', keys.roster)))
end

-- What refuses a change that the rule allows.
local refusals = {
  join = function(keys, change)
    if change.most > 0 and call('ZCARD', keys.roster) >= change.most then return 'ROOM_FULL' end
  end,
  leave = function(keys, _, target)
    if target.role == 'owner' and call('ZCARD', keys.roster) > 1 then return 'OWNER_MUST_TRANSFER' end
  end,
}

-- What a change does, given its number.
local effects = {
  set = function(keys, change) set_room(keys, change.settings) end,
  join = function(keys, change, seq)
    -- Nothing before is unread, nor is one's own coming.
    local read = change.target == change.actor and seq or seq - 1
    local joined = digits(seq)
    put(keys, change.target, {role = change.role, joined = joined, left = '0', delivered = read, read = read})
    call('ZADD', keys.roster, joined, change.target)
    count(keys)
  end,
  role = function(keys, change, _, _, target)
    target.role = change.role
    put(keys, change.target, target)
  end,
  leave = function(keys, change, seq, _, target)
    target.left = digits(seq + 1)
    put(keys, change.target, target)
    call('ZREM', keys.roster, change.target)
    count(keys)
  end,
  transfer = function(keys, change, _, actor, target)
    actor.role, target.role = 'admin', 'owner'
    put(keys, change.actor, actor)
    put(keys, change.target, target)
  end,
}

-- Appends the event of a change, and remembers the result.
local function append_change(item, change, seq)
  local number = digits(seq)
  local result = table.concat({item.id, epoch_digits, number, item.time}, ' ')
  append(item.keys, item.id, seq, number, item.event)
  result = result .. ' ' .. (call('HGET', item.keys.members, change.target) or '')
  call('HSET', dedupe, item.field, result)
  return 'OK ' .. result
end

-- Room ids are used once: a room that exists was created by the same request.
local function create(item, change, head_epoch)
  if head_epoch > 0 then
    local entry = call('HGET', item.keys.members, change.target) or ''
    return table.concat({'OK', item.id, digits(head_epoch), '1', item.time, entry}, ' ')
  end
  call_in_portions('HSET', item.keys.members, change.members)
  fill_roster(item.keys.roster, change.members)
  set_room(item.keys, change.settings)
  count(item.keys)
  return append_change(item, change, 1)
end

local function accept_change(item)
  local keys = item.keys
  local first, entry = first_result(item.field)
  if first then return 'OK ' .. first .. ' ' .. entry end
  local head_epoch, last = position(keys, item.loaded)
  if not head_epoch then return 'COLD' end
  local change = cjson.decode(item.detail)
  if change.effect == 'create' then return create(item, change, head_epoch) end
  local policy = call('HGET', keys.room, 'join')
  -- With its last member a room is gone: who came back would find it without an owner.
  if not policy or call('ZCARD', keys.roster) == 0 then return 'UNKNOWN' end

  local entries = call('HMGET', keys.members, change.actor, change.target)
  local actor, target = member_of(entries[1]), member_of(entries[2])
  local open = policy == open_policy
  local pair = standing(actor, open) .. ' ' .. standing(target, open)
  if change.keeps[pair] then return 'UNCHANGED ' .. (entries[2] or '') end
  if not change.applies[pair] then return 'DENIED ' .. pair end
  local refusal = refusals[change.effect] and refusals[change.effect](keys, change, target)
  if refusal then return refusal end

  local seq = following(head_epoch, last)
  effects[change.effect](keys, change, seq, actor, target)
  return append_change(item, change, seq)
end
