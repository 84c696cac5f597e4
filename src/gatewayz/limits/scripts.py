"""The rules of admission, run inside Redis. All keys of a call are of one account, and so of one slot.

A window of W has slots of W / 6000: slot n holds what came from n to n + 1 slots after the epoch, and counts until all
of it is more than W ago. 75 slots are a chapter, so that no call goes through more than the sums of 81 chapters and the
slots of two. A window is a hash, its numbers packed:
  h  its head: requests, tokens, a slot before which there is nothing, the newest slot; then its contents: for each
     chapter in which something came, the oldest first, the chapter's number, requests, tokens
  and under each such number, for each slot in which something came, the oldest first: its place in the chapter,
  requests, tokens

Requests that run are a sorted set: ids by the millisecond at which each is given up.

A purse is a hash: `t` the tranche, `n` nano-dollars left, `u` the millisecond of the last use, `r` there where no more
is to be given.
"""

SLOTS = 6000
CHAPTER = 75

_CLOCK = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(number)
  return string.format('%.0f', number)
end
"""

_WINDOW = """
local HEAD, ENTRY, SLOT = '<dddd', '<I6I4I6', '<BI4I6'
local TOP, LINE, SIZE = struct.size(HEAD), struct.size(ENTRY), struct.size(SLOT)

local function chapter_of(slot)
  return math.floor(slot / CHAPTER)
end

-- The window under `key` as it was left, and the chapter in which `now` is.
local function opened(key, span)
  local width = span / SLOTS
  local slot = math.floor(now / width)
  local kept = redis.call('HMGET', key, 'h', chapter_of(slot))
  local w = {key = key, width = width, slot = slot, chapter = kept[2] or '', contents = ''}
  w.requests, w.tokens, w.first = 0, 0, slot
  if kept[1] then
    w.requests, w.tokens, w.first, w.last = struct.unpack(HEAD, kept[1])
    w.contents = string.sub(kept[1], TOP + 1)
  end
  return w
end

local function keep(w, ...)
  redis.call('HSET', w.key, 'h', struct.pack(HEAD, w.requests, w.tokens, w.first, w.last) .. w.contents, ...)
end
"""

_EXPIRE = """
local function forget(w)
  redis.call('DEL', w.key)
  w.requests, w.tokens, w.first, w.last, w.chapter, w.contents = 0, 0, w.slot, nil, '', ''
end

-- What is left of a chapter without its slots before `oldest`, what those had, and the first slot that is left.
local function without(chapter, number, oldest)
  local requests, tokens = 0, 0
  for at = 1, #chapter, SIZE do
    local place, r, k = struct.unpack(SLOT, chapter, at)
    local slot = number * CHAPTER + place
    if slot >= oldest then return string.sub(chapter, at), requests, tokens, slot end
    requests, tokens = requests + r, tokens + k
  end
  return '', requests, tokens, oldest
end

-- Take out of the window what has left it.
local function expire(w)
  local oldest = w.slot - SLOTS
  if not w.last or w.first >= oldest then return end
  if w.last < oldest then return forget(w) end
  local edge, gone, at, cut = chapter_of(oldest), {}, 1, {}
  w.first = oldest
  while at <= #w.contents do
    local number, r, k = struct.unpack(ENTRY, w.contents, at)
    if number > edge then w.first = number * CHAPTER; break end
    local rest, off_r, off_k = '', r, k
    if number == edge then
      rest, off_r, off_k, w.first = without(redis.call('HGET', w.key, number), number, oldest)
    end
    w.requests, w.tokens, at = w.requests - off_r, w.tokens - off_k, at + LINE
    if rest ~= '' then
      w.contents = struct.pack(ENTRY, number, r - off_r, k - off_k) .. string.sub(w.contents, at)
      at, cut = 1, {number, rest}
      break
    end
    gone[#gone + 1] = number
  end
  w.contents = string.sub(w.contents, at)
  if #gone > 0 then redis.call('HDEL', w.key, unpack(gone)) end
  keep(w, unpack(cut))
end
"""

_WAIT = """
-- The microseconds until so many requests and tokens have left the window.
local function wait(w, requests, tokens)
  for line = 1, #w.contents, LINE do
    local number, r, k = struct.unpack(ENTRY, w.contents, line)
    if requests > r or tokens > k then
      requests, tokens = requests - r, tokens - k
    else
      local chapter = redis.call('HGET', w.key, number)
      for at = 1, #chapter, SIZE do
        local place, r, k = struct.unpack(SLOT, chapter, at)
        requests, tokens = requests - r, tokens - k
        if requests <= 0 and tokens <= 0 then return (number * CHAPTER + place + SLOTS + 1) * w.width - now end
      end
    end
  end
  return 0
end
"""

_TAKE = """
-- `rows` with so much more in the last, which is that of `number`: a new one, if it is not.
local function add(rows, form, number, requests, tokens)
  local size = struct.size(form)
  if rows ~= '' then
    local last, r, k = struct.unpack(form, rows, #rows - size + 1)
    if last == number then
      return string.sub(rows, 1, -size - 1) .. struct.pack(form, number, r + requests, k + tokens)
    end
  end
  return rows .. struct.pack(form, number, requests, tokens)
end

-- Count one request and its tokens in the window, now.
local function take(w, tokens)
  local number, is_new = chapter_of(w.slot), w.chapter == ''
  w.contents = add(w.contents, ENTRY, number, 1, tokens)
  w.requests, w.tokens, w.last = w.requests + 1, w.tokens + tokens, w.slot
  keep(w, number, add(w.chapter, SLOT, w.slot % CHAPTER, 1, tokens))
  if is_new then redis.call('PEXPIRE', w.key, math.ceil((SLOTS + CHAPTER + 2) * w.width / 1000)) end
end
"""

_CORRECT = """
-- `rows` with so many tokens more in that of `number`, but none below nothing; and how many there were more.
local function changed(rows, form, number, more)
  local size = struct.size(form)
  local low, high = 1, #rows / size
  while low <= high do
    local middle = math.floor((low + high) / 2)
    local at = (middle - 1) * size + 1
    local found, r, k = struct.unpack(form, rows, at)
    if found == number then
      more = math.max(more, -k)
      return string.sub(rows, 1, at - 1) .. struct.pack(form, number, r, k + more) .. string.sub(rows, at + size), more
    end
    if found < number then low = middle + 1 else high = middle - 1 end
  end
  return rows, 0
end

-- What was counted in the window's slot has used so many tokens more.
local function correct(w, more)
  w.chapter, more = changed(w.chapter, SLOT, w.slot % CHAPTER, more)
  if more == 0 then return end
  w.contents = changed(w.contents, ENTRY, chapter_of(w.slot), more)
  w.tokens = w.tokens + more
  keep(w, chapter_of(w.slot), w.chapter)
end
"""

# KEYS: the windows, the sets of running requests, the purse if there is a hold.
# ARGV: milliseconds of a lease, number of windows, then for each window its microseconds, most requests and most tokens
# (-1: any), then for each set the most that may run; at last request, tokens, hold.
# → {'admitted', microseconds, tranche or '', then requests, tokens and milliseconds until it is empty for each window,
#    and how many run for each set}
#   {'refused', which one from 1 on, 'requests', 'tokens' or 'concurrent', milliseconds to wait (-1: for ever),
#    and the same as above for each}
#   {'unfunded', tranche or '', by how much it is short}
ADMIT = (
    _CLOCK
    + _WINDOW
    + _EXPIRE
    + _WAIT
    + _TAKE
    + """
local clock = now
local lease, windows = ARGV[1], tonumber(ARGV[2])
local request, tokens, hold = ARGV[#ARGV - 2], tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV])
local purse = hold > 0 and #KEYS or nil
local sets = #KEYS - windows - (purse and 1 or 0)
local state = {}
local is_late = false
for i = 1, windows do
  local w = opened(KEYS[i], tonumber(ARGV[3 * i]))
  if w.last and w.last > w.slot + SLOTS then forget(w) end  -- of a clock that was wrong by more than the window
  if w.last and w.last > w.slot then now, is_late = math.max(now, (w.last + 0.5) * w.width), true end
  state[i] = w
end
-- In windows, time does not go back, though a server that takes over may be behind: it is the newest slot's in each.
if is_late then
  for i = 1, windows do state[i] = opened(KEYS[i], tonumber(ARGV[3 * i])) end
end
local refused, why, longest = nil, nil, -1
for i = 1, windows do
  local w, most_r, most_k = state[i], tonumber(ARGV[1 + 3 * i]), tonumber(ARGV[2 + 3 * i])
  expire(w)
  local more_r = most_r >= 0 and w.requests + 1 - most_r or 0
  local more_k = most_k >= 0 and w.tokens + tokens - most_k or 0
  if more_r > 0 or more_k > 0 then
    local never = (most_r == 0) or (most_k >= 0 and tokens > most_k)
    local needs = never and math.huge or wait(w, more_r, more_k)
    if needs > longest then
      longest, refused, why = needs, i, (more_k > 0 and (more_r <= 0 or tokens > most_k)) and 'tokens' or 'requests'
    end
  end
end
local running = {}
for i = 1, sets do
  local key = KEYS[windows + i]
  redis.call('ZREMRANGEBYSCORE', key, '-inf', text(clock / 1000))
  running[i] = redis.call('ZCARD', key)
  local most = tonumber(ARGV[2 + 3 * windows + i])
  if running[i] >= most and (most == 0 or longest < 0) then
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    longest = most == 0 and math.huge or math.max(0, math.min(1000000, first[2] * 1000 - clock))
    refused, why = windows + i, 'concurrent'
  end
end
local function standings(reply)
  for i = 1, windows do
    local w = state[i]
    local left = w.last and math.ceil(((w.last + SLOTS + 1) * w.width - now) / 1000) or 0
    reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = w.requests, w.tokens, left
  end
  for i = 1, sets do reply[#reply + 1] = running[i] end
  return reply
end
if refused then
  return standings({'refused', refused, why, longest == math.huge and -1 or math.ceil(longest / 1000)})
end
local tranche = ''
if purse then
  local p = redis.call('HMGET', KEYS[purse], 't', 'n', 'r')
  if not p[1] or p[3] then return {'unfunded', '', text(hold)} end
  local left = tonumber(p[2])
  if left < hold then return {'unfunded', p[1], text(hold - left)} end
  tranche = p[1]
  redis.call('HINCRBY', KEYS[purse], 'n', text(-hold))
  redis.call('HSET', KEYS[purse], 'u', text(clock / 1000))
end
for i = 1, windows do take(state[i], tokens) end
for i = 1, sets do
  local key = KEYS[windows + i]
  redis.call('ZADD', key, text(clock / 1000 + lease), request)
  redis.call('PEXPIRE', key, 2 * lease)
  running[i] = running[i] + 1
end
return standings({'admitted', text(now), tranche})
"""
)

# The request has ended. KEYS: the windows in which tokens were reserved, the sets of running requests, the purse if
# something goes back there.
# ARGV: number of windows, then for each its microseconds; at last request, microseconds at which it was admitted,
# tokens used beyond those reserved (below 0: fewer), tranche, nano-dollars that go back.
SETTLE = (
    _CLOCK
    + _WINDOW
    + _CORRECT
    + """
local windows, last = tonumber(ARGV[1]), #ARGV
local request, at, more, tranche, back = ARGV[last - 4], ARGV[last - 3], ARGV[last - 2], ARGV[last - 1], ARGV[last]
now, more, back = tonumber(at), tonumber(more), tonumber(back)
if more ~= 0 then
  for i = 1, windows do correct(opened(KEYS[i], tonumber(ARGV[1 + i])), more) end
end
local purse = back > 0 and #KEYS or nil
for i = windows + 1, #KEYS - (purse and 1 or 0) do
  redis.call('ZREM', KEYS[i], request)
end
if purse then
  local p = redis.call('HMGET', KEYS[purse], 't', 'r')
  if p[1] == tranche and not p[2] then redis.call('HINCRBY', KEYS[purse], 'n', text(back)) end
end
return 1
"""
)

# KEYS: sets of running requests. ARGV: milliseconds of a lease, then the requests, a thousand at most.
RENEW = (
    _CLOCK
    + """
local till = text(now / 1000 + ARGV[1])
local leases = {}
for i = 2, #ARGV do leases[2 * i - 3], leases[2 * i - 2] = till, ARGV[i] end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, unpack(leases))
  redis.call('PEXPIRE', key, 2 * ARGV[1])
end
return 1
"""
)

# KEYS: purse. ARGV: tranche, nano-dollars, milliseconds to keep it unused. → 1 if they are in it
DEPOSIT = (
    _CLOCK
    + """
local p = redis.call('HMGET', KEYS[1], 't', 'r')
if p[1] and p[1] ~= ARGV[1] and not p[2] then return 0 end
if p[1] == ARGV[1] and p[2] then return 0 end
if p[1] ~= ARGV[1] then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 't', ARGV[1], 'u', text(now / 1000))
redis.call('HINCRBY', KEYS[1], 'n', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
)

# KEYS: purse. ARGV: tranche. → what was left, -1 where there is no purse of it
RETIRE = """
local p = redis.call('HMGET', KEYS[1], 't', 'n', 'r')
if p[1] ~= ARGV[1] then return '-1' end
if p[3] then return '0' end
redis.call('HSET', KEYS[1], 'n', '0', 'r', '1')
return p[2]
"""

# KEYS: purse. ARGV: tranche. → {what is left, milliseconds since its last use}, empty where there is no purse of it
LOOK = (
    _CLOCK
    + """
local p = redis.call('HMGET', KEYS[1], 't', 'n', 'u')
if p[1] ~= ARGV[1] then return {} end
return {p[2], math.floor(now / 1000 - p[3])}
"""
)

ALL = tuple(
    text.replace("SLOTS", str(SLOTS)).replace("CHAPTER", str(CHAPTER))
    for text in (ADMIT, SETTLE, RENEW, DEPOSIT, RETIRE, LOOK)
)
ADMIT, SETTLE, RENEW, DEPOSIT, RETIRE, LOOK = ALL
