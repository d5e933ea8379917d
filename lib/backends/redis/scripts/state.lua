-- What the verbs share: a piece, not a script. It expects `call` and `key`, and defines the rest.
--
-- One lock is these keys, all in one slot because `key` is a hash tag. Each has an expiry, always.
--   key        string   the exclusive holder: owner|ttlMs|fence|kind|channel. Its own expiry is the lease. With
--                       a leading '|' it lingers: released by that owner, and kept busy until it expires.
--   key:held   zset     holders of a shared or permits lock → expiry in ms; '|' marks a lingering one
--   key:group  hash     what is known of them: holder → take|of|fence|kind|channel,
--                       and #mode ('s' or 'p'), #used (permits taken), #seen (server ms of the last lease given),
--                       #delay (some of them have one)
--   key:of     zset     holder → `of`, so that the smallest is known; permits only
--   key:line   zset     who waits → ticket; kind|channel|owner, where kind is 'e', 's' or 'p,take,of'
--   key:beat   zset     the same places → until when they count as alive, in ms
--   key:gone:OWNER      abandoned: a claim of OWNER that arrives late is refused
--
-- A '=' before the channel says that its owner takes the lock over by a message (see hand-over).
--
-- A lockDelay is written behind the kind of its holder, as in 'e+5000'. The expiry is the end of the delay then: in
-- its last 5000 ms the lease is over, and the key is kept closed. A release and an eviction take all of it away.
--
-- No name but `key` itself is passed in: they would cost 7 % of the throughput, and a client's key prefix
-- comes with `key` anyway.
local held, group, ofs, line, beat = key .. ':held', key .. ':group', key .. ':of', key .. ':line', key .. ':beat'
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A place that was silent for longer is skipped. Clients ask every 300 ms.
local SILENCE_MS = 1000

-- Only so many at the front of the line are let in at a time; who goes in or leaves lets the next one come. So no
-- step costs more for ten thousand places than for a hundred.
local WINDOW = 64
-- Places that fell silent are dropped by so many a step.
local DROPPED_AT_ONCE = 256

-- Some holders of the group have a lockDelay; known after `purge`.
local delays

-- How long the key stays closed after the end of the lease that is described.
local function delayOf(holder)
  return tonumber(string.match(holder or '', '%+(%d+)') or 0)
end

-- True when the owner has a lease in the group that is not over.
local function holds(owner)
  local ends = call('ZSCORE', held, owner)
  if ends and delays then
    return ends - delayOf(call('HGET', group, owner)) > now
  end
  return ends
end

-- Gives the keys of the group at least `ttl` ms to live. First in every change of a lease: it is allowed when
-- the server is out of memory, and whatever follows a first write in a script is allowed too.
local function keep(ttl)
  local longest = math.max(call('PTTL', held), ttl)
  call('PEXPIRE', held, longest)
  call('PEXPIRE', group, longest)
  call('PEXPIRE', ofs, longest)
end

-- Takes a holder out of the group. The last one leaves nothing behind.
local function leave(holder)
  local take = string.match(call('HGET', group, holder) or '', '^%d+')
  call('ZREM', held, holder)
  call('ZREM', ofs, holder)
  call('HDEL', group, holder)
  if call('EXISTS', held) == 0 then
    call('DEL', group)
  else
    call('HINCRBY', group, '#used', -(take or 0))
  end
end

-- The server's clock was set back: what was left of every lease when the last one was given is left now.
-- Otherwise a group would stay for as long as the clock had jumped.
local function setBack(seen)
  call('PERSIST', held)
  local leases = call('ZRANGE', held, 0, -1, 'WITHSCORES')
  if #leases == 0 then
    call('DEL', group)
    return
  end
  for i = 1, #leases, 2 do
    call('ZADD', held, leases[i + 1] - seen + now, leases[i])
  end
  local longest = math.max(leases[#leases] - seen, 1)
  call('HSET', group, '#seen', now)
  call('PEXPIRE', held, longest)
  call('PEXPIRE', group, longest)
  call('PEXPIRE', ofs, longest)
end

-- Forgets holders whose lease is over and places that fell silent. True when there were any.
local function purge()
  local found = false
  local facts = call('HMGET', group, '#seen', '#delay')
  local seen = tonumber(facts[1])
  delays = facts[2]
  if seen then
    if now < seen then
      setBack(seen)
    end
    for _, holder in ipairs(call('ZRANGEBYSCORE', held, '-inf', now)) do
      leave(holder)
      found = true
    end
  end
  if call('EXISTS', beat) == 0 then
    return found
  end
  for _, place in ipairs(call('ZRANGEBYSCORE', beat, '-inf', now, 'LIMIT', 0, DROPPED_AT_ONCE)) do
    call('ZREM', line, place)
    call('ZREM', beat, place)
    found = true
  end
  -- Nobody lives longer than that; more means that the clock was set back.
  local ahead = call('ZRANGEBYSCORE', beat, now + SILENCE_MS + 1, '+inf', 'LIMIT', 0, DROPPED_AT_ONCE)
  for _, place in ipairs(ahead) do
    call('ZADD', beat, now + SILENCE_MS, place)
  end
  return found
end

-- Who is inside: mode (nil when free), permits used, and their smallest `of`.
local function inside()
  if call('EXISTS', key) == 1 then
    return { mode = 'e', used = 1 }
  end
  local facts = call('HMGET', group, '#mode', '#used')
  local room = { mode = facts[1] or nil, used = tonumber(facts[2] or 0) }
  if room.mode == 'p' then
    room.of = tonumber(call('ZRANGE', ofs, 0, 0, 'WITHSCORES')[2])
  end
  return room
end

-- Lets one of `kind` in if it fits, and says whether it did.
local function admit(room, kind)
  local mode, take, of = string.match(kind, '^(%a),?(%d*),?(%d*)')
  if room.mode and (mode == 'e' or mode ~= room.mode) then
    return false
  end
  if mode == 'p' then
    room.of = math.min(room.of or tonumber(of), tonumber(of))
    room.used = room.used + take
    if room.used > room.of then
      return false
    end
  end
  room.mode = mode
  return true
end

-- Lets the first `count` places of the line in, as far as they fit; `welcome` is told of each. True when all do.
local function admitLine(room, count, welcome)
  if count == 0 then
    return true
  end
  for _, place in ipairs(call('ZRANGE', line, 0, count - 1)) do
    local kind, channel, owner = string.match(place, '^([^|]*)|([^|]*)|(.*)$')
    if not admit(room, kind) then
      return false
    end
    if welcome then
      welcome(channel, owner)
    end
  end
  return true
end

-- A hint is worth less than the step that it belongs to, so a failure to publish is passed over. A leading '=' of the
-- channel is a mark of the place (see hand-over). The time behind the message tells its copies, which come by several
-- nodes of a cluster, from the next message. Answers how many heard it.
local function publish(channel, message)
  local copies = '#' .. time[1] .. '.' .. time[2]
  local heard = redis.pcall('PUBLISH', string.match(channel, '^=?(.*)$'), message .. copies)
  return type(heard) == 'number' and heard or 0
end

-- Tells those at the front of the line who fit in by now.
local function wake()
  admitLine(inside(), WINDOW, publish)
end
