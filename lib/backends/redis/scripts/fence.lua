-- The next fence, and KEYS[2] remembers it: a piece, not a script. It expects `call`, and defines `fence`, a string.
-- max(last + 1, server time in µs): it rises when the clock is set back as well as when everything was wiped.
-- Only both together would break it.
local time = call('TIME')
local fence = string.format('%s%06d', time[1], time[2])
local last = call('SET', KEYS[2], fence, 'PX', '604800000', 'GET')
if last and tonumber(last) >= tonumber(fence) then
  fence = string.format('%.0f', last + 1)
  call('SET', KEYS[2], fence, 'PX', '604800000')
end
