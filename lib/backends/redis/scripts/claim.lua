-- Grants the lock, or says who is in the way; with a queue, takes or keeps a place in the line.
--
-- KEYS[1]  the lock
-- KEYS[2]  the last fence given out, for all locks of one prefix
-- ARGV[1]  owner
-- ARGV[2]  ttl in ms
-- ARGV[3]  kind: 'e' exclusive, 's' shared, 'p,take,of' permits
-- ARGV[4]  the channel that this process listens to
-- ARGV[5]  '1' to queue, '' to leave no trace when busy
--
-- Answers the fence when granted, 0 when the owner has been abandoned, else
-- { owner of a holder or '', when it is worth asking again in ms, how many are ahead }.
local key, owner, ttl, kind, channel = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]

-- max(last + 1, server time in µs): it rises when the clock is set back as well as when everything was wiped.
-- Only both together would break it.
local function mint()
  local time = redis.call('TIME')
  local fence = string.format('%s%06d', time[1], time[2])
  local last = redis.call('SET', KEYS[2], fence, 'PX', '604800000', 'GET')
  if last and tonumber(last) >= tonumber(fence) then
    fence = string.format('%.0f', last + 1)
    redis.call('SET', KEYS[2], fence, 'PX', '604800000')
  end
  return fence
end

local function holdAlone()
  local fence = mint()
  redis.call('SET', key, owner .. '|' .. ttl .. '|' .. fence .. '|' .. channel, 'PX', ttl)
  return tonumber(fence)
end

if kind == 'e' and redis.call('EXISTS', key, key .. ':held', key .. ':line', key .. ':gone:' .. owner) == 0 then
  return holdAlone()
end
if redis.call('EXISTS', key .. ':gone:' .. owner) == 1 then
  return 0
end

include('state')

-- A lease has at most its own ttl to run. More than that means that the server's clock was set back.
local holder, left = '', 0
local value = redis.call('GET', key)
if value then
  local lease, fence
  holder, lease, fence = string.match(value, '^|?([^|]+)|(%d+)|(%d+)')
  if string.sub(value, 1, #owner + 1) == owner .. '|' then
    redis.call('SET', key, owner .. '|' .. ttl .. '|' .. fence .. '|' .. channel, 'PX', ttl)
    return tonumber(fence)
  end
  left = redis.call('PTTL', key)
  if left > tonumber(lease) then
    redis.call('PEXPIRE', key, lease)
    left = tonumber(lease)
  end
end

local someoneLeft = purge()

if redis.call('ZSCORE', held, owner) then
  keep(ttl)
  redis.call('ZADD', held, now + ttl, owner)
  redis.call('HSET', group, '#seen', now)
  return tonumber(string.match(redis.call('HGET', group, owner), '^%d+|%d+|(%d+)'))
end

-- A claim is granted when it fits together with who is inside and with everybody ahead in the line: so nobody
-- is ever delayed by somebody who came later, and readers do not wait for each other.
local place = kind .. '|' .. channel .. '|' .. owner
local rank = redis.call('ZRANK', line, place)
local ahead = rank or redis.call('ZCARD', line)
local room = inside()
local mode = room.mode
local granted = (ahead == 0 or kind ~= 'e') and admitLine(room, ahead) and admit(room, kind)

if granted then
  if rank then
    redis.call('ZREM', line, place)
    redis.call('ZREM', beat, place)
  end
  if kind == 'e' then
    return holdAlone()
  end
  local fence = mint()
  local take, of = string.match(kind, '^p,(%d+),(%d+)$')
  if not mode then
    redis.call('DEL', held, group, ofs)
  end
  redis.call('ZADD', held, now + ttl, owner)
  redis.call('HSET', group, '#mode', string.sub(kind, 1, 1), '#seen', now,
    owner, (take or '1') .. '|' .. (of or '0') .. '|' .. fence .. '|' .. channel)
  redis.call('HINCRBY', group, '#used', take or 1)
  if of then
    redis.call('ZADD', ofs, of, owner)
  end
  keep(ttl)
  if someoneLeft then
    wake()
  end
  return tonumber(fence)
end

if someoneLeft then
  wake()
end
if ARGV[5] == '1' then
  if not rank then
    local last = redis.call('ZRANGE', line, -1, -1, 'WITHSCORES')
    redis.call('ZADD', line, (last[2] or 0) + 1, place)
  end
  redis.call('ZADD', beat, now + SILENCE_MS, place)
  redis.call('PEXPIRE', line, 2 * SILENCE_MS)
  redis.call('PEXPIRE', beat, 2 * SILENCE_MS)
end

-- Held back by the line alone: until its head has been silent for too long.
if admit(inside(), kind) then
  local head = redis.call('ZRANGE', line, 0, 0)[1]
  return { '', (head and redis.call('ZSCORE', beat, head) or now) - now, ahead }
end
if not value then
  -- Permits may be enough when the first comes back; anything else waits for the last.
  local at = mode == string.sub(kind, 1, 1) and 0 or -1
  local next = redis.call('ZRANGE', held, at, at, 'WITHSCORES')
  holder, left = string.gsub(next[1], '^|', ''), next[2] - now
end
return { holder, left, ahead }
