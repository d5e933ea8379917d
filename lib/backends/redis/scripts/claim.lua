-- Grants the lock, or says who is in the way; with a queue, takes or keeps a place in the line.
--
-- KEYS[1]  the lock
-- KEYS[2]  the last fence given out, for all locks of one prefix
-- ARGV[1]  owner
-- ARGV[2]  ttl in ms
-- ARGV[3]  kind|channel: 'e' exclusive, 's' shared, 'p,take,of' permits, and the channel that this process listens to
-- ARGV[4]  '1' to queue; absent or '', to leave no trace when busy
-- ARGV[5]  only with a lockDelay, which is written behind the kind then, as in 'e+5000': ttl and lockDelay together
--
-- They are few because each one costs the client about what a command in here costs the server.
--
-- Answers the fence when granted, 0 when the owner has been abandoned, else
-- { owner of a holder or '', when it is worth asking again in ms, how many are ahead, and until when its place counts as
-- alive, by the server's clock; without the last when it has none }.
local call = redis.call
local key, owner, ttl, wish = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

-- The usual case first, and without a function being made: exclusive (101 is 'e'), free, and nobody waits for it.
local free = string.byte(wish) == 101
  and call('EXISTS', key, key .. ':held', key .. ':line', key .. ':gone:' .. owner) == 0
local joinGroup

if not free then

  if call('EXISTS', key .. ':gone:' .. owner) == 1 then
    return 0
  end

  include('state')

  -- A lease has at most its own ttl to run. More than that means that the server's clock was set back.
  local holder, left = '', 0
  local value = call('GET', key)
  if value then
    local lease, fence
    holder, lease, fence = string.match(value, '^|?([^|]+)|(%d+)|(%d+)')
    local delay = delayOf(value)
    local longest = lease + delay
    left = call('PTTL', key)
    if left > longest then
      call('PEXPIRE', key, longest)
      left = longest
    end
    if left <= delay then
      holder = ''
    elseif string.sub(value, 1, #owner + 1) == owner .. '|' then
      call('SET', key, owner .. '|' .. ttl .. '|' .. fence .. '|' .. wish, 'PX', ARGV[5] or ttl)
      return tonumber(fence)
    end
  end

  local someoneLeft = purge()

  if holds(owner) then
    keep(ARGV[5] or ttl)
    call('ZADD', held, now + (ARGV[5] or ttl), owner)
    call('HSET', group, '#seen', now)
    return tonumber(string.match(call('HGET', group, owner), '^%d+|%d+|(%d+)'))
  end
  -- Its own lease ran out: the lockDelay is for it as well.
  local closed = delays and call('ZSCORE', held, owner)

  -- A claim is granted when it fits together with who is inside and with everybody ahead in the line: so nobody
  -- is ever delayed by somebody who came later, and readers do not wait for each other.
  local kind = string.match(wish, '^[^|+]*')
  local place = wish .. '|' .. owner
  local rank, ahead = false, 0
  if call('EXISTS', line) == 1 then
    rank = call('ZRANK', line, place)
    ahead = rank or call('ZCARD', line)
  end
  local room = inside()
  local mode, used = room.mode, room.used
  local granted = not closed and (ahead == 0 or kind ~= 'e' and ahead < WINDOW) and admitLine(room, ahead) and admit(room, kind)

  if granted then
    if rank then
      call('ZREM', line, place)
      call('ZREM', beat, place)
      local next = kind ~= 'e' and call('ZRANGE', line, WINDOW - 1, WINDOW - 1)[1]
      if next then
        publish(string.match(next, '^[^|]*|([^|]*)|(.*)$'))
      end
    end
    if kind ~= 'e' then
      joinGroup = function(fence)
        local take, of = string.match(kind, '^p,(%d+),(%d+)$')
        if not mode then
          call('DEL', held, group, ofs)
        end
        call('ZADD', held, now + (ARGV[5] or ttl), owner)
        call('HSET', group, '#mode', string.sub(kind, 1, 1), '#used', used + (take or 1), '#seen', now,
          owner, (take or '1') .. '|' .. (of or '0') .. '|' .. fence .. '|' .. wish)
        if ARGV[5] then
          call('HSET', group, '#delay', '1')
        end
        if of then
          call('ZADD', ofs, of, owner)
        end
        keep(ARGV[5] or ttl)
        if someoneLeft then
          wake()
        end
      end
    end
  else
    if someoneLeft then
      wake()
    end
    local aliveUntil = nil
    if ARGV[4] == '1' then
      aliveUntil = now + SILENCE_MS
      if not rank then
        local last = call('ZRANGE', line, -1, -1, 'WITHSCORES')
        call('ZADD', line, (last[2] or 0) + 1, place)
      end
      call('ZADD', beat, aliveUntil, place)
      call('PEXPIRE', line, 2 * SILENCE_MS)
      call('PEXPIRE', beat, 2 * SILENCE_MS)
    end

    if closed then
      return { '', closed - now, ahead, aliveUntil }
    end
    -- Held back by the line alone: until its head has been silent for too long.
    if admit(inside(), kind) then
      local head = call('ZRANGE', line, 0, 0)[1]
      return { '', (head and call('ZSCORE', beat, head) or now) - now, ahead, aliveUntil }
    end
    if not value then
      -- Permits may be enough when the first comes back; anything else waits for the last.
      local at = mode == string.sub(kind, 1, 1) and 0 or -1
      local next = call('ZRANGE', held, at, at, 'WITHSCORES')
      holder, left = string.gsub(next[1], '^|', ''), next[2] - now
      if delays and left <= delayOf(call('HGET', group, next[1])) then
        holder = ''
      end
    end
    return { holder, left, ahead, aliveUntil }

  end
end

local time = call('TIME')

include('fence')

if joinGroup then
  joinGroup(fence)
else
  call('SET', key, owner .. '|' .. ttl .. '|' .. fence .. '|' .. wish, 'PX', ARGV[5] or ttl)
end
return tonumber(fence)
