"""
The Lua scripts of the Redis broker. Each runs as one step.

KEYS[1] is a hash with the store's epoch, the number of its latest event, a fingerprint of the Redis
that wrote them, and the shortest retention that any publisher uses for channels without an
exception. Numbers are microseconds of Redis's clock, or one more than the latest; they fit a double
exactly until the year 2255.
"""

from __future__ import annotations

__all__ = ["BEGINNING", "HISTORY", "POSITION", "PUBLISH", "PUBLISHING"]

# A restarted Redis has another run id, a promoted replica another replication id, and a Redis that
# had to evict keys may have evicted ours. Each may have lost acknowledged events, so positions from
# before cannot be compared with later ones.
_BEGIN = """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  .. string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)')
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'number', 'run', 'age')
local epoch, number, shortest = meta[1], tonumber(meta[2] or '0'), tonumber(meta[4])
local time = redis.call('TIME')
-- Not before the latest number, in case the clock has been set back.
local now = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), number)
local text = function (value) return string.format('%.0f', value) end
if not epoch or meta[3] ~= run then
  -- With some of the run id: a request that is repeated, because its answer was lost, may meet
  -- another Redis, and must not give it the same epoch.
  epoch = ARGV[1] .. string.sub(run, 1, 6)
  number = math.max(number, now)
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'number', text(number), 'run', run)
end
"""

POSITION = _BEGIN + "return {epoch, text(number)}"

# The floor of a channel: the number up to which its events may have been dropped. It is stored with
# the number of the channel's latest event, for at least the usual time. So if neither it nor any
# event is left, only events older than that may have been dropped.
_FLOOR = """
local floor_of = function (stream, key, memory)
  local known = redis.call('GET', key)
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if not known and not first then return now - math.min(memory, shortest or memory) end
  if not known then return tonumber(string.match(first[1], '^%d+')) end
  return tonumber(string.match(known, first and '^%d+' or '%d+$'))
end
"""

# Gives an event its number, stores it in the channel's stream unless nothing is kept, trims the
# stream by age and count, and publishes the event.
PUBLISHING = (
    _BEGIN
    + _FLOOR
    + """
local store = function (stream, key, header, body, most, age, memory, usual)
  local floor = floor_of(stream, key, memory)
  if not shortest or usual < shortest then
    shortest = usual
    redis.call('HSET', KEYS[1], 'age', text(usual))
  end
  local added = redis.pcall('XADD', stream, text(number) .. '-0', 'h', header, 'b', body)
  if type(added) == 'table' and added.err then
    -- A stream from an earlier epoch, with numbers that are later than the clock.
    redis.call('DEL', stream)
    floor = number - 1
    redis.call('XADD', stream, text(number) .. '-0', 'h', header, 'b', body)
  end
  local excess = redis.call('XLEN', stream) - most
  if excess > 0 then
    local dropped = redis.call('XRANGE', stream, '-', '+', 'COUNT', excess)
    floor = math.max(floor, tonumber(string.match(dropped[#dropped][1], '^%d+')))
    redis.call('XTRIM', stream, 'MAXLEN', most)
  end
  if redis.call('XTRIM', stream, 'MINID', text(now - age)) > 0 then
    floor = math.max(floor, now - age)
  end
  redis.call('SET', key, text(floor) .. ' ' .. text(number), 'PX', math.ceil(memory / 1000))
  redis.call('PEXPIRE', stream, math.ceil(age / 1000))
end
local publish = function (stream, key, topic, command, header, body, most, age, memory, usual)
  number = math.max(number + 1, now)
  redis.call('HSET', KEYS[1], 'number', text(number))
  if most > 0 then store(stream, key, header, body, most, age, memory, usual) end
  redis.call(command, topic, table.concat({epoch, text(number), header, body}, '\\n'))
end
"""
)

# KEYS: the hash, the channel's stream, its floor, the token.
# ARGV: a new epoch, the topic, header, body, the command that publishes, the token's age in
# milliseconds, and the channel's retention: four numbers.
PUBLISH = (
    PUBLISHING
    + """
local stored = redis.call('GET', KEYS[4])
if stored then
  local at = string.find(stored, ' ')
  return {string.sub(stored, 1, at - 1), string.sub(stored, at + 1)}
end
publish(KEYS[2], KEYS[3], ARGV[2], ARGV[5], ARGV[3], ARGV[4], tonumber(ARGV[7]), tonumber(ARGV[8]),
  tonumber(ARGV[9]), tonumber(ARGV[10]))
redis.call('SET', KEYS[4], epoch .. ' ' .. text(number), 'PX', ARGV[6])
return {epoch, text(number)}
"""
)

# KEYS: the hash, and for each channel its stream and its floor.
# ARGV: a new epoch, the position's epoch, the number up to which to read or '', how many events and
# bytes to read; and for each channel the number after which to read, for how many microseconds it
# is remembered that events were dropped, and whether none of these is missing.
#
# Returns whether nothing is missing, the number up to which it read, and for each channel its
# events, whether these are all, and the number after which they are. It stops at the first channel
# with more: one script must not hold up everything else that uses this Redis.
HISTORY = (
    _BEGIN
    + _FLOOR
    + """
local last = ARGV[3] == '' and number or tonumber(ARGV[3])
local events, bytes = tonumber(ARGV[4]), tonumber(ARGV[5])
if epoch ~= ARGV[2] then return {0} end
local found = {}
for at = 2, #KEYS, 2 do
  local given = at * 3 / 2 + 3
  local after, memory = tonumber(ARGV[given]), tonumber(ARGV[given + 1])
  if after > number then return {0} end
  -- After the latest event of all, nothing can be missing, however old it is.
  local floor = after < number and floor_of(KEYS[at], KEYS[at + 1], memory) or after
  if floor > after and ARGV[given + 2] == '0' then return {0} end
  after = math.max(after, floor)
  local channel, from, some = {}, text(after), nil
  repeat
    some = redis.call('XRANGE', KEYS[at], '(' .. from .. '-0', text(last) .. '-0', 'COUNT', 20)
    for _, each in ipairs(some) do
      from = string.match(each[1], '^%d+')
      table.insert(channel, {from, each[2][2], each[2][4]})
      bytes = bytes - string.len(each[2][4])
    end
    events = events - #some
  until #some < 20 or events <= 0 or bytes <= 0
  table.insert(found, {channel, #some < 20 and 1 or 0, text(after)})
  if #some == 20 or events <= 0 or bytes <= 0 then break end
end
return {1, text(last), found}
"""
)

# KEYS: the hash, and for each channel its stream and its floor.
# ARGV: a new epoch, the number up to which to look or '', how many events are wanted or 0 for all,
# the number after which to look, how many events and bytes to read; and for each channel the number
# before which to look or '', for how many microseconds it is remembered that events were dropped,
# and for how many they are kept.
#
# Returns the epoch, the latest number, and for each channel its floor, the numbers of its latest
# events, latest first, and whether these are enough. Of all events, the first is enough.
BEGINNING = (
    _BEGIN
    + _FLOOR
    + """
local last = ARGV[2] == '' and number or tonumber(ARGV[2])
local most, low = tonumber(ARGV[3]), tonumber(ARGV[4])
local events, bytes = tonumber(ARGV[5]), tonumber(ARGV[6])
local found = {}
for at = 2, #KEYS, 2 do
  local before, memory, age = ARGV[at * 3 / 2 + 4], ARGV[at * 3 / 2 + 5], ARGV[at * 3 / 2 + 6]
  -- An event may be stored for longer than it is kept, until the next one is published.
  local floor = math.max(floor_of(KEYS[at], KEYS[at + 1], tonumber(memory)), now - tonumber(age))
  -- Of a channel without events, nothing is wanted up to now. Its floor would move with the clock.
  floor = redis.call('XLEN', KEYS[at]) > 0 and math.min(floor, number) or number
  local from, numbers, some, ask = '(' .. text(math.max(floor, low)) .. '-0', {}, {}, 0
  local to = before == '' and text(last) .. '-0' or '(' .. before .. '-0'
  if most == 0 then
    some = redis.call('XRANGE', KEYS[at], from, to, 'COUNT', 1)
    if #some > 0 then table.insert(numbers, string.match(some[1][1], '^%d+')) end
  end
  while #numbers < most do
    ask = math.min(20, most - #numbers)
    some = redis.call('XREVRANGE', KEYS[at], to, from, 'COUNT', ask)
    for _, each in ipairs(some) do
      table.insert(numbers, string.match(each[1], '^%d+'))
      bytes = bytes - string.len(each[2][4])
    end
    events = events - #some
    if #some < ask or events <= 0 or bytes <= 0 then break end
    to = '(' .. numbers[#numbers] .. '-0'
  end
  local is_all = #numbers >= most or #some < ask
  table.insert(found, {text(floor), numbers, is_all and 1 or 0})
  if not is_all or events <= 0 or bytes <= 0 then break end
end
return {epoch, text(number), found}
"""
)
