-- Gives the lock back, if the owner still has it, and wakes who comes next.
-- Nothing is written before the delete: a server that is out of memory would refuse it, and then the release.
--
-- KEYS[1]  the lock
-- ARGV[1]  owner
-- ARGV[2]  absent, or for how many ms the lock stays busy still; then the next ones come when that is over
--
-- Answers 1 when released, 0 when the owner has nothing (left) to release.
local call = redis.call
local key, owner, lingerMs = KEYS[1], ARGV[1], ARGV[2]
local value = call('GET', key)
local mine = value and string.sub(value, 1, #owner + 1) == owner .. '|'
if mine and string.find(value, '+', 1, true) then
  -- In its lockDelay the key is nobody's.
  mine = call('PTTL', key) > tonumber(string.match(value, '%+(%d+)'))
end

if mine and lingerMs then
  -- The expiry first: a script that has written may go on when the server is out of memory.
  call('PEXPIRE', key, lingerMs)
  local rest = string.gsub(string.match(value, '^[^|]+|%d+(|.*)$'), '%+%d+', '')
  call('SET', key, '|' .. owner .. '|' .. lingerMs .. rest, 'PX', lingerMs)
  return 1
end
if mine then
  call('DEL', key)
  if call('EXISTS', key .. ':line') == 0 then
    return 1
  end
elseif value then
  return string.sub(value, 1, #owner + 2) == '|' .. owner .. '|' and 1 or 0
elseif call('EXISTS', key .. ':held') == 0 then
  return 0
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
  wake()
end
return mine and 1 or 0
