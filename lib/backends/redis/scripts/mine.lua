-- Whether an exclusive lock is its owner's: a piece, not a script. It expects `call`, `key` and `owner`, and defines the
-- `value` of the key and `mine`.
local value = call('GET', key)
local mine = value and string.sub(value, 1, #owner + 1) == owner .. '|'
if mine and string.find(value, '+', 1, true) then
  -- In its lockDelay it is nobody's.
  mine = call('PTTL', key) > tonumber(string.match(value, '%+(%d+)'))
end
