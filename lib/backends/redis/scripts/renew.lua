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
  local prefix = owner .. '|' .. ttl .. '|'
  answers[i] = '0'
  -- Something foreign in the place of one lock must not cost the others their renewal.
  local value = redis.pcall('GET', key)
  if type(value) ~= 'string' then
    value = nil
  end
  if value and string.sub(value, 1, #prefix) == prefix then
    call('PEXPIRE', key, ttl)
    answers[i] = '1'
  elseif value and string.sub(value, 1, #owner + 1) == owner .. '|' then
    -- The expiry first: a script that has written may go on when the server is out of memory.
    call('PEXPIRE', key, ttl)
    call('SET', key, prefix .. string.match(value, '^[^|]+|%d+|(.*)$'), 'PX', ttl)
    answers[i] = '1'
  elseif not value and call('EXISTS', key .. ':held') == 1 then

    include('state')

    local someoneLeft = purge()
    if call('ZSCORE', held, owner) then
      keep(ttl)
      call('ZADD', held, now + ttl, owner)
      call('HSET', group, '#seen', now)
      answers[i] = '1'
    end
    if someoneLeft then
      wake()
    end
  end
end
return table.concat(answers)
