-- Finds out which of the commands that the other scripts need this user may not run. Each is called with arguments
-- that it refuses, or that do nothing, and permissions are looked at before. The name is no lock's, and declared
-- nowhere, because a user may be allowed the locks alone.
--
-- ARGV[1]  a channel
--
-- Answers the names of the commands that are not allowed.
local name = '{#}:allowed'
local tries = {
  { 'DEL', name },
  { 'EXISTS', name },
  { 'GET', name },
  { 'HDEL', name, 'field' },
  { 'HGET', name, 'field' },
  { 'HINCRBY', name, 'field', 'none' },
  { 'HMGET', name, 'field' },
  { 'HSET', name, 'field', 'value', 'odd' },
  { 'PERSIST', name },
  { 'PEXPIRE', name, 'none' },
  { 'PTTL', name },
  { 'SET', name, '', 'NONE' },
  { 'TIME' },
  { 'ZADD', name, 'none', 'member' },
  { 'ZCARD', name },
  { 'ZCOUNT', name, 'none', 'none' },
  { 'ZRANGE', name, 'none', 'none' },
  { 'ZRANGEBYSCORE', name, 'none', 'none' },
  { 'ZRANK', name, 'member' },
  { 'ZREM', name, 'member' },
  { 'ZSCORE', name, 'member' },
  { 'PUBLISH', ARGV[1], '' },
}
local refused = {}
for _, try in ipairs(tries) do
  local reply = redis.pcall(unpack(try))
  local why = type(reply) == 'table' and reply.err or ''
  if string.find(why, 'run this command') or string.find(why, 'permissions to run') or string.find(why, 'channel') then
    table.insert(refused, try[1])
  end
end
return refused
