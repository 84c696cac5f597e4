"""The rules of the Redis tier, run inside Redis. Each touches one key, so that each is slot-safe.

An entry is a hash:
  g  its generation: an invalidation sets a new one, and a fill is refused unless it knows the present one
  s  a stamp, unique to one fill, that begins with the generation of the whole entity
  v  the sealed envelope
  l  the token of the one worker that may load now
  d  until when the others leave it to that one, in milliseconds of the server's clock. One that is further off than a
     lease lasts is from another clock, and over
  f  the floor: how far the source must have come, for what is loaded from it to count
  x  the token of the last load that failed, and why
A scope (a whole entity, or a tag) is a string `generation|floor|cutoff`.

A missing generation restarts from the server's microseconds, above all that were ever given out: eviction and FLUSHALL
invalidate, they never resurrect. Every script that must write deletes first, which Redis allows when it is full, and
which lifts its refusal for the rest of the script.

Redis tells us when a key that was read changes next. A write forgets who wanted to know, the writer too, so each script
reads its key once more after it has written. All may be run twice: a second run does no more than the first.
"""

import functools
import hashlib

_CLOCK = """
local function microseconds()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
local function text(number)
  return string.format('%.0f', number)
end
"""

# KEYS: entry. ARGV: stamp at hand; stamp of a value known to be dead, '*': any is; token to lease by, '' for no lease;
# milliseconds of the lease; milliseconds to keep an entry without a value; the most bytes to send, 0: all; token of the
# load that was waited for, or ''.
# A lease keeps the entry, be its value dead, for as long as one without a value: the fill needs its generation.
# → 'g s v ' and then v; or 'g s = ' where the stamp is the one at hand, 'g s > ' where v is too large. These are text,
#   as Redis 6.2 sends each table by a write of its own, of which the reader is woken time and again. Or
#   {g, s, is it rubbish?, milliseconds for which another holds the lease (-1: it is ours, 0: nobody), microseconds,
#    floor, who holds the lease, why the load that was waited for failed}
READ = (
    _CLOCK
    + """
local r = redis.pcall('HMGET', KEYS[1], 'g', 's', 'v', 'd', 'f', 'l', 'x')
local rubbish = 0
if r.err then rubbish = 1; r = {false, false, false, false, false, false, false} end
if r[3] and not (r[2] and not string.find(r[2], ' ', 1, true) and not string.find(r[1] or '', ' ', 1, true)) then
  rubbish = 1
  r[3] = false
end
if r[1] and r[3] and ARGV[2] ~= '*' and r[2] ~= ARGV[2] then
  local most = tonumber(ARGV[6])
  if r[2] == ARGV[1] then return r[1] .. ' ' .. r[2] .. ' = ' end
  if most > 0 and #r[3] > most then return r[1] .. ' ' .. r[2] .. ' > ' end
  return r[1] .. ' ' .. r[2] .. ' v ' .. r[3]
end
local us = microseconds()
local ms = math.floor(us / 1000)
local wrote = false
if not r[1] then
  redis.call('DEL', KEYS[1])
  r = {text(us), false, false, false, false, false, false}
  redis.call('HSET', KEYS[1], 'g', r[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  wrote = true
end
local held = 0
local why = ''
if ARGV[7] ~= '' and r[7] and string.sub(r[7], 1, #ARGV[7]) == ARGV[7] then
  why = string.sub(r[7], #ARGV[7] + 1)
elseif ARGV[3] ~= '' then
  held = (tonumber(r[4] or '0') or 0) - ms
  if not (held > 0 and held <= tonumber(ARGV[4])) or r[6] == ARGV[3] then
    held = -1
    local leased = redis.pcall('HSET', KEYS[1], 'l', ARGV[3], 'd', text(ms + ARGV[4]))
    if type(leased) == 'table' and leased.err then held = 0 end
    if not r[3] or redis.call('PTTL', KEYS[1]) < tonumber(ARGV[5]) then
      redis.call('PEXPIRE', KEYS[1], ARGV[5])
    end
    wrote = true
  end
end
if wrote then redis.call('HGET', KEYS[1], 'g') end
local floor = string.match(r[5] or '', '^%d+$') or '0'
return {r[1], r[2] or '', rubbish, held, text(us), floor, held > 0 and r[6] or '', why}
"""
)

# KEYS: entry. ARGV: g before the load, stamp before it or '*', new stamp, envelope, milliseconds. → outcome
FILL = """
local r = redis.pcall('HMGET', KEYS[1], 'g', 's')
if r.err or r[1] ~= ARGV[1] then return 'invalidated' end
if ARGV[2] ~= '*' and (r[2] or '') ~= ARGV[2] then return 'newer' end
redis.call('HSET', KEYS[1], 's', ARGV[3], 'v', ARGV[4])
redis.call('HDEL', KEYS[1], 'l', 'd', 'x')
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('HGET', KEYS[1], 's')
return 'filled'
"""

# KEYS: entry. ARGV: token, why the load failed ('': it did not). → 1 if the lease was ours
GIVE_BACK = """
local l = redis.pcall('HGET', KEYS[1], 'l')
if l ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'l', 'd')
if ARGV[2] ~= '' then redis.pcall('HSET', KEYS[1], 'x', ARGV[1] .. ARGV[2]) end
redis.call('HGET', KEYS[1], 'g')
return 1
"""

# KEYS: entry. ARGV: the stamp that was read. Rubbish goes; what was filled since stays.
DISCARD = """
local s = redis.pcall('HGET', KEYS[1], 's')
if type(s) == 'table' or (s or '') ~= ARGV[1] then return 0 end
local died = redis.call('HDEL', KEYS[1], 's', 'v')
redis.call('HGET', KEYS[1], 'g')
return died
"""

# KEYS: lease on a refresh. ARGV: token.
RELEASE = """
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

_NEXT = (
    _CLOCK
    + """
local function after(g)
  local unique = microseconds()
  local known = tonumber(g or '')
  return text((known and known >= unique) and known + 1 or unique)
end
local function higher(a, b)
  return (tonumber(a or '0') or 0) > (tonumber(b or '0') or 0) and a or b
end
"""
)

# KEYS: entry. ARGV: milliseconds to keep an entry without a value, floor. → 1 if a value died
INVALIDATE = (
    _NEXT
    + """
local r = redis.pcall('HMGET', KEYS[1], 'g', 'v', 'f')
if r.err then r = {false, false, false} end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'g', after(r[1]))
local floor = higher(r[3], ARGV[2])
if floor ~= '0' then redis.call('HSET', KEYS[1], 'f', floor) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return r[2] and 1 or 0
"""
)

_SCOPE = """
local function parts()
  local raw = redis.pcall('GET', KEYS[1])
  if type(raw) ~= 'string' then return nil end
  return string.match(raw, '^(%d+)|(%d+)|(%d+%.?%d*)$')
end
local function put(state, milliseconds)
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[1], state)
  if tonumber(milliseconds) > 0 then redis.call('PEXPIRE', KEYS[1], milliseconds) end
  redis.call('GET', KEYS[1])
  return state
end
"""

# KEYS: scope. ARGV: the generation to restart from, '' for the server's microseconds; milliseconds to keep it, 0: for
# ever. → its state
SCOPE = (
    _CLOCK
    + _SCOPE
    + """
local g, f, c = parts()
if g then return g .. '|' .. f .. '|' .. c end
return put((ARGV[1] ~= '' and ARGV[1] or text(microseconds())) .. '|0|0', ARGV[2])
"""
)

# KEYS: scope. ARGV: floor; cutoff, '' if all is dead; milliseconds to keep it, 0: for ever. → its state
BUMP = (
    _NEXT
    + _SCOPE
    + """
local g, f, c = parts()
local cutoff = c or '0'
if ARGV[2] ~= '' and g then cutoff = higher(c, ARGV[2]) else g = after(g) end
return put(g .. '|' .. higher(f, ARGV[1]) .. '|' .. cutoff, ARGV[3])
"""
)

# KEYS: entry. Writes nothing, leases nothing. → {g or '', s or '', v or '', milliseconds of the lease (≤ 0: none),
# floor, microseconds, is it rubbish?}
SEE = (
    _CLOCK
    + """
local r = redis.pcall('HMGET', KEYS[1], 'g', 's', 'v', 'd', 'f')
local rubbish = 0
if r.err then rubbish = 1; r = {false, false, false, false, false} end
local us = microseconds()
local held = (tonumber(r[4] or '0') or 0) - math.floor(us / 1000)
return {r[1] or '', r[2] or '', r[3] or '', held, r[5] or '0', text(us), rubbish}
"""
)


def sha_of(text: str) -> str:
    """By what EVALSHA names it."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


_ALL = (READ, FILL, GIVE_BACK, DISCARD, RELEASE, INVALIDATE, SCOPE, BUMP, SEE)

BY_SHA = {sha_of(text): text for text in _ALL}

_SHA_OF = {text: sha for sha, text in BY_SHA.items()}


@functools.cache
def packed_name(script: str, arguments: int) -> bytes:
    """How a call of the script goes over the line, up to its key, after which so many arguments follow."""
    return b"*%d\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n$1\r\n1\r\n" % (arguments + 4, _SHA_OF[script].encode())


def call(script: str, key: str, *arguments: str | bytes | int) -> tuple[str | bytes | int, ...]:
    """The command that runs one of the scripts above."""
    return ("EVALSHA", _SHA_OF[script], 1, key, *arguments)
