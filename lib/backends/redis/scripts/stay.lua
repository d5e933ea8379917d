-- Shows life for many places in the line, and says who of them should ask again.
--
-- KEYS[i]  a lock; further keys, without arguments, are there for the cluster to see
-- ARGV[i]  kind|channel|owner: a place in its line
--
-- Answers { a string with one digit per place: 1 when the lock may be free for it, or the place is gone; else 0; until
-- when those that are not gone count as alive, by the server's clock }.
local call = redis.call
local time = call('TIME')
local aliveUntil = time[1] * 1000 + math.floor(time[2] / 1000) + 1000
local answers = {}
for i, key in ipairs(KEYS) do
  local place = ARGV[i]
  if not place then
    break
  end
  answers[i] = '1'
  -- Nothing changes for a place that is gone, nor within one millisecond. Something foreign in the place of one lock
  -- must not cost the others theirs.
  local changed = redis.pcall('ZADD', key .. ':beat', 'XX', 'CH', aliveUntil, place)
  if changed == 1 or changed == 0 and call('ZSCORE', key .. ':beat', place) then
    call('PEXPIRE', key .. ':line', 2000)
    call('PEXPIRE', key .. ':beat', 2000)
    if call('EXISTS', key) == 1 then
      answers[i] = '0'
    elseif call('EXISTS', key .. ':held') == 1 then

      include('state')

      if purge() then
        wake()
      end
      if not admit(inside(), string.match(place, '^[^|]*')) then
        answers[i] = '0'
      end
    end
  end
end
return { table.concat(answers), aliveUntil }
