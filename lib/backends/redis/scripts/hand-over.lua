-- Hands the lock, which is free, to the head of the line by a message, so that it need not ask: a piece, not a script. It
-- expects what state defines, that nobody is inside, and that KEYS[2] remembers the last fence.
--
-- Only to an exclusive one whose place says that it takes it so. Its lease is what was left of its place, because it may
-- be dead: it renews it when it has heard, and the next ones are held up no longer than by a dead head. The message says
-- until when, which is how the waiter knows which of its signs of life that was counted from. It is told who is at the
-- front of the line, two of them if there are. Answers true when it was handed over; then somebody heard it.
local function handOver(front)
  local head = front[1]
  local channel, owner = string.match(head or '', '^e|(=[^|]*)|(.*)$')
  local aliveUntil = owner and call('ZSCORE', beat, head) or 0
  local left = aliveUntil - now
  if not owner or left < 1 or left > SILENCE_MS or call('EXISTS', key .. ':gone:' .. owner) == 1 then
    return false
  end

  include('fence')

  left = string.format('%.0f', left)
  call('SET', key, owner .. '|' .. left .. '|' .. fence .. '|e|' .. channel, 'PX', left)
  if publish(channel, '=' .. fence .. '|' .. aliveUntil .. '|' .. owner) == 0 then
    call('DEL', key)
    return false
  end
  if front[2] then
    call('ZREM', line, head)
    call('ZREM', beat, head)
  else
    call('DEL', line, beat)
  end
  return true
end
