"""The rules of breakers, run inside Redis, so that all workers count together; and how figures of health are shared.

A breaker is a hash, absent while all is well:
  f  failures in a row, and
  w  the millisecond of the last one
  u  the millisecond until which it is open, absent while it is closed; once that is past it is half open
  p  the milliseconds for which it was opened last
  t  the token of the one request that probes it, and
  e  the millisecond at which that one is given up
"""

_TIME = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number)
  return string.format('%.0f', number)
end
"""

_NOW = (
    _TIME
    + """
local h = redis.call('HMGET', KEYS[1], 'f', 'u', 'p', 't', 'e', 'w')
local open_until = tonumber(h[2] or '')
"""
)

# KEYS: breaker. ARGV: token of a probe or '', failures that open it, milliseconds after which they are forgotten, first
# and longest pause, milliseconds for which to open it in any case (0: by the count). → milliseconds it is open, 0: not
FAILED = (
    _NOW
    + """
local most, lasts, first, longest = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local forced = tonumber(ARGV[6])
local is_lately = h[6] and now - h[6] <= lasts
local failures = (is_lately and tonumber(h[1]) or 0) + 1
redis.call('HSET', KEYS[1], 'f', failures, 'w', text(now))
local pause
if forced > 0 then
  pause = forced
elseif not open_until then
  if failures >= most then pause = first end
elseif ARGV[1] ~= '' and h[4] == ARGV[1] then
  pause = math.min(2 * tonumber(h[3] or first), longest)
end
if pause then
  if not open_until or now + pause > open_until then open_until = now + pause end
  redis.call('HSET', KEYS[1], 'u', text(open_until), 'p', text(math.min(pause, longest)))
  redis.call('HDEL', KEYS[1], 't', 'e')
end
local left = open_until and math.max(0, open_until - now) or 0
redis.call('PEXPIRE', KEYS[1], math.ceil(left + math.max(lasts, 2 * longest)))
return open_until and math.max(1, left) or 0
"""
)

# KEYS: breaker. ARGV: token of a probe or ''. An open one is closed by its probe only. → 1 if it is closed
SUCCEEDED = (
    _NOW
    + """
if open_until and (ARGV[1] == '' or h[4] ~= ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
return 1
"""
)

# KEYS: breaker. ARGV: token, milliseconds that the probe may take, milliseconds after which to ask again while another
# does. → 0: it is closed; -1: probe it; else milliseconds after which to ask again
PROBE = (
    _NOW
    + """
if not open_until then return 0 end
if open_until > now then return open_until - now end
local given_up = tonumber(h[5] or '0')
if h[4] and given_up > now then return math.min(given_up - now, tonumber(ARGV[3])) end
redis.call('HSET', KEYS[1], 't', ARGV[1], 'e', text(now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], 4 * ARGV[2])
return -1
"""
)

# KEYS: breaker. ARGV: token of the probe that came to nothing.
ABANDONED = """
if redis.call('HGET', KEYS[1], 't') == ARGV[1] then redis.call('HDEL', KEYS[1], 't', 'e') end
return 1
"""

# Figures are a hash of name to figures, and beside it a sorted set of name to the version in which they were written:
# a number of milliseconds that always grows, so that who knows all up to one version asks for what came after it.

# KEYS: figures, versions. ARGV: version known, how many to tell at most. → the newest version, then of each that is
# newer than what is known, the oldest first: its name, version, figures
CHANGED = """
local newest = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or '0'
local told = {newest}
local names = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for i = 1, #names, 2 do
  told[#told + 1] = names[i]
  told[#told + 1] = names[i + 1]
  told[#told + 1] = redis.call('HGET', KEYS[1], names[i]) or ''
end
return told
"""

# KEYS: figures, versions. ARGV: how many are kept at most, milliseconds after which they are forgotten, then of each
# its name, the version from which it was worked out (0: it was not there), figures. → of each its new version; or,
# where another came before, the version and figures that it has, from which it is to be worked out anew
WRITTEN = (
    _TIME
    + """
local newest = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local version = math.max(now, newest and newest + 1 or 0)
local told = {}
for i = 3, #ARGV, 3 do
  local held = redis.call('ZSCORE', KEYS[2], ARGV[i]) or '0'
  if tonumber(held) == tonumber(ARGV[i + 1]) then
    redis.call('ZADD', KEYS[2], text(version), ARGV[i])
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    told[#told + 1] = text(version)
    version = version + 1
  else
    told[#told + 1] = {held, redis.call('HGET', KEYS[1], ARGV[i]) or ''}
  end
end
local function forget(names)
  for _, name in ipairs(names) do
    redis.call('ZREM', KEYS[2], name)
    redis.call('HDEL', KEYS[1], name)
  end
end
forget(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', text(now - ARGV[2]), 'LIMIT', 0, 100))
forget(redis.call('ZRANGE', KEYS[2], 0, -1 - ARGV[1]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return told
"""
)

ALL = (FAILED, SUCCEEDED, PROBE, ABANDONED, CHANGED, WRITTEN)
