-- Takes the lock from all who hold it, tells them, and wakes who comes next.
--
-- KEYS[1]  the lock
--
-- Answers 1, or 0 when nobody held it.
local call = redis.call
local key = KEYS[1]

include('state')

purge()
local value = call('GET', key)
local found = call('DEL', key)
if value then
  local owner, channel = string.match(value, '^([^|]+)|%d+|%d+|[^|]*|(.*)$')
  if owner then
    publish(channel, '!' .. owner)
  end
end
for _, owner in ipairs(call('ZRANGE', held, 0, -1)) do
  local channel = string.match(call('HGET', group, owner) or '', '^%d+|%d+|%d+|[^|]*|(.*)$')
  if channel and string.sub(owner, 1, 1) ~= '|' then
    publish(channel, '!' .. owner)
  end
  found = 1
end
call('DEL', held, group, ofs)
wake()
return found
