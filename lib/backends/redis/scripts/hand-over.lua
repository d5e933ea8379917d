-- Hands the lock, which nobody else holds, to the head of the line by a message, so that it need not ask: a piece, not a
-- script. It expects `call`, `key`, and that KEYS[2] remembers the last fence.
--
-- Only to an exclusive one whose place says that it takes it so. Its lease is what was left of its place, because it may
-- be dead: it renews it when it has heard, and the next ones are held up no longer than by a dead head. The message says
-- until when, which is how the waiter knows which of its signs of life that was counted from.
--
-- `alive` is the places whose sign of life is the oldest, two of them if there are, each with its end: one that is alone
-- is the head. Answers true when the lock was handed over; then somebody heard it. Nothing is written before a delete: a
-- server that is out of memory would refuse it.
local function handOver(alive)
  local line, beat = key .. ':line', key .. ':beat'
  local head, aliveUntil, ticket = alive[1], alive[2], 1
  if alive[3] then
    local front = call('ZRANGE', line, 0, 0, 'WITHSCORES')
    head, ticket = front[1], front[2]
    aliveUntil = head and call('ZSCORE', beat, head)
  end
  local channel, owner = string.match(head or '', '^e|=([^|]*)|(.*)$')
  if not owner or not aliveUntil then
    return false
  end
  local time = call('TIME')
  local left = aliveUntil - time[1] * 1000 - math.floor(time[2] / 1000)
  if left < 1 or left > 1000 or call('EXISTS', key .. ':gone:' .. owner) == 1 then
    return false
  end
  if alive[3] then
    call('ZREM', line, head)
    call('ZREM', beat, head)
  else
    call('DEL', line, beat)
  end

  include('fence')

  local heard = redis.pcall('PUBLISH', channel, '=' .. fence .. '|' .. aliveUntil .. '|' .. owner)
  if type(heard) == 'number' and heard > 0 then
    left = string.format('%.0f', left)
    call('SET', key, owner .. '|' .. left .. '|' .. fence .. '|e|=' .. channel, 'PX', left)
    return true
  end
  call('ZADD', line, ticket, head)
  call('ZADD', beat, aliveUntil, head)
  call('PEXPIRE', line, 2000)
  call('PEXPIRE', beat, 2000)
  return false
end
