-- Gives the lock back and, when nobody else waits for it, to the next one of the same process: one step for what a
-- release and a claim right behind it would come to.
--
-- KEYS[1]  the lock
-- KEYS[2]  the last fence given out, for all locks of one prefix
-- ARGV[1]  owner
-- ARGV[2]  the next owner
-- ARGV[3]  its ttl in ms
-- ARGV[4]  e|channel: its wish, and exclusive as the lock it follows
-- ARGV[5]  only with a lockDelay, as in e+5000|channel: ttl and lockDelay together
--
-- Answers the fence of the next owner; or that it did not get the lock, by what a release answers: 1 when released, 0
-- when the owner has nothing (left) to release.
local call = redis.call
local key, owner, lingerMs, alive = KEYS[1], ARGV[1], nil, nil

include('mine')

-- The next one may stand in the line, at its head, or nobody does. Whoever was abandoned here has no place there.
local place, head = ARGV[4] .. '|' .. ARGV[2], nil
if mine then
  alive = call('ZRANGE', key .. ':beat', 0, 1, 'WITHSCORES')
  head = alive[3] and call('ZRANGE', key .. ':line', 0, 0)[1] or alive[1]
end
if head and head == place or mine and not head and call('EXISTS', key .. ':gone:' .. ARGV[2]) == 0 then
  local time = call('TIME')

  include('fence')

  call('SET', key, ARGV[2] .. '|' .. ARGV[3] .. '|' .. fence .. '|' .. ARGV[4], 'PX', ARGV[5] or ARGV[3])
  if alive[3] then
    call('ZREM', key .. ':line', place)
    call('ZREM', key .. ':beat', place)
  elseif head then
    call('DEL', key .. ':line', key .. ':beat')
  end
  return tonumber(fence)
end

include('give-back')
