-- Gives a lock back: a piece, not a script. It expects `call`, `key`, `owner`, `lingerMs` (or nil), the `value` of the
-- key and whether it is `mine`, and `alive` (or nil): of those in the line the two whose signs of life are the oldest. It answers for the script: 1 when released, 0 when there was nothing to release.
-- Nothing is written before the delete: a server that is out of memory would refuse it, and then the release.
if mine and lingerMs then
  -- The expiry first: a script that has written may go on when the server is out of memory.
  call('PEXPIRE', key, lingerMs)
  local rest = string.gsub(string.match(value, '^[^|]+|%d+(|.*)$'), '%+%d+', '')
  call('SET', key, '|' .. owner .. '|' .. lingerMs .. rest, 'PX', lingerMs)
  return 1
end
if mine then
  alive = alive or call('ZRANGE', key .. ':beat', 0, 1, 'WITHSCORES')
  if not alive[1] then
    call('DEL', key)
    return 1
  end
elseif value then
  return string.sub(value, 1, #owner + 2) == '|' .. owner .. '|' and 1 or 0
elseif call('EXISTS', key .. ':held') == 0 then
  return 0
end

include('hand-over')

-- Whoever held it exclusively leaves nobody inside: a head that is alive gets it, whatever else there is.
if mine then
  if handOver(alive) then
    return 1
  end
  call('DEL', key)
end

include('state')

local someoneLeft = purge()
if not mine and holds(owner) then
  mine = true
  if lingerMs then
    local detail = string.gsub(call('HGET', group, owner), '%+%d+', '')
    local of = call('ZSCORE', ofs, owner)
    call('ZREM', held, owner)
    call('HDEL', group, owner)
    call('ZREM', ofs, owner)
    call('ZADD', held, now + lingerMs, '|' .. owner)
    call('HSET', group, '|' .. owner, detail, '#seen', now)
    if of then
      call('ZADD', ofs, of, '|' .. owner)
    end
    keep(lingerMs)
  else
    leave(owner)
    someoneLeft = true
  end
elseif mine then
  someoneLeft = true
else
  mine = call('ZSCORE', held, '|' .. owner)
end
if someoneLeft then
  local free = not lingerMs and not inside().mode
  if not free or not handOver(call('ZRANGE', beat, 0, 1, 'WITHSCORES')) then
    wake()
  end
end
return mine and 1 or 0
