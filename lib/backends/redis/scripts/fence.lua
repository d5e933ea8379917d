-- The next fence, and KEYS[2] remembers it: a piece, not a script. It expects `call` and the server's `time`, and defines
-- `fence`, a string.
-- max(last + 1, server time in µs): it rises when the clock is set back as well as when everything was wiped.
-- Only both together would break it.
local fence = time[1] .. string.sub('00000' .. time[2], -6)
local last = call('SET', KEYS[2], fence, 'KEEPTTL', 'GET')
if not last or string.sub(last, 1, 8) ~= string.sub(fence, 1, 8) then
  -- once in 100 s; the expiry costs as much again
  call('PEXPIRE', KEYS[2], '604800000')
end
-- of the same length for some centuries, so texts compare as numbers do
if last and (#last ~= #fence or last >= fence) and tonumber(last) >= tonumber(fence) then
  fence = string.format('%.0f', last + 1)
  call('SET', KEYS[2], fence, 'KEEPTTL')
end
