-- Hands the lock, which is free, to the head of the line by a message, so that it need not ask: a piece, not a script. It
-- expects what state defines and that KEYS[2] remembers the last fence.
--
-- Only to an exclusive one whose place says that it takes it so. Its lease is what was left of its place, because it may
-- be dead: it renews it when it has heard, and the next ones are held up no longer than by a dead head. Answers true
-- when it was handed over; then somebody heard it.
local function handOver()
  local head = call('ZRANGE', line, 0, 0)[1]
  local channel, owner = string.match(head or '', '^e|(=[^|]*)|(.*)$')
  local left = owner and (call('ZSCORE', beat, head) or 0) - now
  if not owner or left < 1 or inside().mode or call('EXISTS', key .. ':gone:' .. owner) == 1 then
    return false
  end

  include('fence')

  left = string.format('%.0f', left)
  call('SET', key, owner .. '|' .. left .. '|' .. fence .. '|e|' .. channel, 'PX', left)
  if publish(channel, '=' .. fence .. '|' .. owner) == 0 then
    call('DEL', key)
    return false
  end
  call('ZREM', line, head)
  call('ZREM', beat, head)
  return true
end
