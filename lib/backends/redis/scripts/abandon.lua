-- Gives up the place of an owner and whatever was granted to it, refuses it from now on, and wakes who comes next.
--
-- KEYS[1]  the lock
-- ARGV[1]  owner
-- ARGV[2]  kind|channel|owner: its place in the line
-- ARGV[3]  for how long a late claim is refused, in ms
--
-- Answers 1.
local call = redis.call
local key, owner, place = KEYS[1], ARGV[1], ARGV[2]
local value = call('GET', key)

include('state')

if value and string.sub(value, 1, #owner + 1) == owner .. '|' and call('PTTL', key) > delayOf(value) then
  call('DEL', key)
end
purge()
if holds(owner) then
  leave(owner)
end
if call('ZREM', line, place) == 0 then
  -- Another client of the same owner may have taken the place. Further behind it is left to fall silent, because
  -- that owner's claims are refused from now on.
  for _, other in ipairs(call('ZRANGE', line, 0, 2 * WINDOW)) do
    if string.match(other, '[^|]*$') == owner then
      place = other
      call('ZREM', line, place)
    end
  end
end
call('ZREM', beat, place)
-- When the server is too short of memory for the mark, it is so for the late claim as well.
redis.pcall('SET', key .. ':gone:' .. owner, '', 'PX', ARGV[3])
wake()
return 1
