-- Gives the lock back, if the owner still has it, and wakes who comes next.
--
-- KEYS[1]  the lock
-- KEYS[2]  the last fence given out; in a cluster, where nothing is handed over, something else or nothing
-- ARGV[1]  owner
-- ARGV[2]  absent, or for how many ms the lock stays busy still; then the next ones come when that is over
--
-- Answers 1 when released, 0 when the owner has nothing (left) to release.
local call = redis.call
local key, owner, lingerMs, alive = KEYS[1], ARGV[1], ARGV[2], nil

include('mine')
include('give-back')
