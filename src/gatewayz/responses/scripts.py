"""The rules by which workers share an answer under way, run inside Redis. The keys of a call are of one slot.

A lease is a string: the token of the one worker that makes the answer, or `!` and the token of one that has lately
ended and has kept what it made. A log is a list of what that one tells, in order, and empty until somebody follows. A
mark is there while somebody does.
"""

# KEYS: lease. ARGV: token, milliseconds of the lease. → {1, whether an answer was lately kept}: it is ours; {0, whose}
CLAIM = """
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and string.sub(held, 1, 1) ~= '!' then return {0, held} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, type(held) == 'string' and 1 or 0}
"""

# KEYS: lease, log, mark. ARGV: token, milliseconds of the lease and of the log, channel; how many entries there must
# be, an entry or '' → 0 if it is ours no more, 2 if somebody follows, else 1. An entry that was lost leaves a gap that
# no later one closes.
APPEND = """
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('LLEN', KEYS[2]) ~= tonumber(ARGV[5]) then return 0 end
if ARGV[6] ~= '' then redis.call('RPUSH', KEYS[2], ARGV[6]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
if redis.call('EXISTS', KEYS[3]) == 0 then return 1 end
redis.call('PUBLISH', ARGV[4], ARGV[1])
return 2
"""

# KEYS: lease, log, mark. ARGV: token, milliseconds for which it is remembered that an answer was kept (0: none was),
# channel; '' if the log has not been begun. → 2 if it must be told first, as somebody follows; then nothing is done
RELEASE = """
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[4] == '' and redis.call('EXISTS', KEYS[3]) == 1 then return 2 end
if tonumber(ARGV[2]) > 0 then
  redis.call('SET', KEYS[1], '!' .. ARGV[1], 'PX', ARGV[2])
else
  redis.call('DEL', KEYS[1])
end
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('PUBLISH', ARGV[3], ARGV[1])
else
  redis.call('DEL', KEYS[2])
end
return 1
"""

# KEYS: lease, log, mark. ARGV: token, number of the first entry, how many at most, milliseconds of the mark, channel.
# → {whether the maker is at it, entries}. Who finds no log asks the maker for one.
FOLLOW = """
redis.call('SET', KEYS[3], '1', 'PX', ARGV[4])
local first = tonumber(ARGV[2])
local entries = redis.call('LRANGE', KEYS[2], first, first + ARGV[3] - 1)
local is_made = redis.pcall('GET', KEYS[1]) == ARGV[1]
if is_made and first == 0 and #entries == 0 then redis.call('PUBLISH', ARGV[5], '?' .. ARGV[1]) end
return {is_made and 1 or 0, entries}
"""

# KEYS: mark. → 1 if somebody follows
FOLLOWED = "return redis.call('EXISTS', KEYS[1])"

ALL = (CLAIM, APPEND, RELEASE, FOLLOW, FOLLOWED)
