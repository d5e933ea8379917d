-- Sets what is left of many leases to their ttl. A lease that is over is never revived.
--
-- KEYS[i]         a lock; further keys, without arguments, are there for the cluster to see
-- ARGV[2 * i - 1] its owner
-- ARGV[2 * i]     ttl in ms
--
-- Answers a string with one digit per lock: 1 renewed, 0 gone.
local call = redis.call
local answers = {}
for i, key in ipairs(KEYS) do
  local owner, ttl = ARGV[2 * i - 1], ARGV[2 * i]
  if not owner then
    break
  end
  answers[i] = '0'
  -- Something foreign in the place of one lock must not cost the others their renewal.
  local value = redis.pcall('GET', key)
  if type(value) ~= 'string' then
    value = nil
  end
  if value and string.sub(value, 1, #owner + 1) == owner .. '|' then
    local whole, delay = ttl, 0
    if string.find(value, '+', 1, true) then
      delay = tonumber(string.match(value, '%+(%d+)'))
      whole = ttl + delay
    end
    if delay == 0 or call('PTTL', key) > delay then
      -- The expiry first: a script that has written may go on when the server is out of memory.
      call('PEXPIRE', key, whole)
      local prefix = owner .. '|' .. ttl .. '|'
      if string.sub(value, 1, #prefix) ~= prefix then
        call('SET', key, prefix .. string.match(value, '^[^|]+|%d+|(.*)$'), 'PX', whole)
      end
      answers[i] = '1'
    end
  elseif not value and call('EXISTS', key .. ':held') == 1 then

    include('state')

    local someoneLeft = purge()
    if holds(owner) then
      local whole = ttl + (delays and delayOf(call('HGET', group, owner)) or 0)
      keep(whole)
      call('ZADD', held, now + whole, owner)
      call('HSET', group, '#seen', now)
      answers[i] = '1'
    end
    if someoneLeft then
      wake()
    end
  end
end
return table.concat(answers)
