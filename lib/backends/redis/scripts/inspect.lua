-- Tells the state of a lock, and changes nothing.
--
-- KEYS[1]  the lock
--
-- Answers { how many wait, kind of the first of them or '', mode of the holders or '' }, followed for each holder by
-- owner, take, of, fence, and what is left of the lease in ms.
local call = redis.call
local key = KEYS[1]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local waiting = call('ZCOUNT', key .. ':beat', '(' .. string.format('%.0f', now), '+inf')
local first = call('ZRANGE', key .. ':line', 0, 0)[1] or ''
local kind = string.match(first, '^[^|]*')

local value = call('GET', key)
if value then
  local owner, ttl, fence = string.match(value, '^|?([^|]+)|(%d+)|(%d+)')
  return { waiting, kind, 'e', owner, '1', '1', fence, math.min(call('PTTL', key), ttl) }
end

local answer = { waiting, kind, call('HGET', key .. ':group', '#mode') or '' }
local holders = call('ZRANGEBYSCORE', key .. ':held', '(' .. string.format('%.0f', now), '+inf', 'WITHSCORES')
for i = 1, #holders, 2 do
  local take, of, fence = string.match(call('HGET', key .. ':group', holders[i]) or '', '^(%d+)|(%d+)|(%d+)')
  if take then
    for _, fact in ipairs({ (string.gsub(holders[i], '^|', '')), take, of, fence, holders[i + 1] - now }) do
      table.insert(answer, fact)
    end
  end
end
return answer
