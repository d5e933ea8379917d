-- Tells the state of a lock, and changes nothing.
--
-- KEYS[1]  the lock
--
-- Answers { how many wait, kind of the first of them or '', mode of the holders or '' }, followed for each holder by
-- owner, take, of, fence, what is left in ms, and of what: 'h' the lease, 'l' a linger, 'd' a lockDelay.
local call = redis.call
local key = KEYS[1]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local waiting = call('ZCOUNT', key .. ':beat', '(' .. string.format('%.0f', now), '+inf')
local first = call('ZRANGE', key .. ':line', 0, 0)[1] or ''
local kind = string.match(first, '^[^|+]*')

-- The facts of a holder whose name, life left and lockDelay are given, at the end of `answer`.
local function tell(answer, holder, take, of, fence, left, delay)
  local what = 'h'
  if string.sub(holder, 1, 1) == '|' then
    what, holder = 'l', string.sub(holder, 2)
  elseif left <= delay then
    what = 'd'
  else
    left = left - delay
  end
  for _, fact in ipairs({ holder, take, of, fence, left, what }) do
    table.insert(answer, fact)
  end
  return answer
end

local value = call('GET', key)
if value then
  local owner, ttl, fence = string.match(value, '^(|?[^|]+)|(%d+)|(%d+)')
  local delay = tonumber(string.match(value, '%+(%d+)') or 0)
  return tell({ waiting, kind, 'e' }, owner, '1', '1', fence, math.min(call('PTTL', key), ttl + delay), delay)
end

local answer = { waiting, kind, call('HGET', key .. ':group', '#mode') or '' }
local holders = call('ZRANGEBYSCORE', key .. ':held', '(' .. string.format('%.0f', now), '+inf', 'WITHSCORES')
for i = 1, #holders, 2 do
  local detail = call('HGET', key .. ':group', holders[i]) or ''
  local take, of, fence = string.match(detail, '^(%d+)|(%d+)|(%d+)')
  if take then
    local delay = tonumber(string.match(detail, '%+(%d+)') or 0)
    tell(answer, holders[i], take, of, fence, holders[i + 1] - now, delay)
  end
end
return answer
