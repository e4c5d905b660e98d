"""
The presence store of several processes: in Redis, changed by one script at a time.

Keys, after the prefix: ``processes`` has the end of each process's lease, in milliseconds of
Redis's clock; ``held:`` and a process, what it holds; ``here:`` and a channel, who is present, and
which processes hold each user; ``leaving``, when to check whether a user is still held;
``streams:`` and a name, how many streams each process has. A process whose lease has ended becomes
one of the ``dead``, and the next scripts of any process undo what it held, some hundred entries at
a time. If it lives after all, it takes another name, and reports everything again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..presence import LEASE, Join, Leave, PresenceEvent, Present
from .scripts import PUBLISHING
from .store import Store

__all__ = ["RedisPresenceStore"]

# Reports per script, and entries that it undoes. While a script runs, Redis does nothing else.
AT_ONCE = 200

# KEYS: the hash of the store; its field "seen" is the time of the latest report.
# ARGV: a new epoch, the prefix, the prefix of topics, the command that publishes, the process, its
# lease in milliseconds.
_BEGIN = (
    PUBLISHING
    + """
local prefix, topics, command = ARGV[2], ARGV[3], ARGV[4]
local process, lease = ARGV[5], tonumber(ARGV[6])
local at_once = AT_ONCE
-- Redis's clock itself: the numbers of positions stand still after it has been set back.
local clock = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local processes, leaving, dead = prefix .. ':processes', prefix .. ':leaving', prefix .. ':dead'
local seen = tonumber(redis.call('HGET', KEYS[1], 'seen') or '0')
local is_silent = clock - seen > lease / 2
for _, each in ipairs(redis.call('ZRANGEBYSCORE', processes, '(' .. text(clock + lease), '+inf')) do
  redis.call('ZADD', processes, text(clock + lease), each)
end
""".replace("AT_ONCE", str(AT_ONCE))
)

# The process that runs this is alive. If none has reported for a while, none could, and those that
# lived then are taken to live still.
_LIVE = """
local known = redis.call('ZSCORE', processes, process) and 1 or 0
if is_silent then
  for _, each in ipairs(redis.call('ZRANGEBYSCORE', processes, text(seen), '+inf')) do
    redis.call('ZADD', processes, text(clock + lease), each)
  end
end
redis.call('ZADD', processes, text(clock + lease), process)
redis.call('HSET', KEYS[1], 'seen', text(clock))
is_silent = false
"""

_SWEEP = """
local announce = function (channel, what, kept)
  publish(prefix .. ':events:' .. channel, prefix .. ':floor:' .. channel,
    topics .. channel, command, what[1], what[2], unpack(kept))
end
-- Remove the user if no process holds it, and no grace is left.
local settle = function (channel, user, gone)
  local here = prefix .. ':here:' .. channel
  local stored = redis.call('HGET', here, user)
  if not stored then return end
  local entry = cjson.decode(stored)
  for holder, deadline in pairs(entry.by) do
    if holder == gone or deadline ~= 0 and deadline <= clock then entry.by[holder] = nil end
  end
  if next(entry.by) then
    redis.call('HSET', here, user, cjson.encode(entry))
  else
    redis.call('HDEL', here, user)
    if entry.leave then announce(channel, entry.leave, entry.kept) end
  end
end
local over = is_silent and clock - lease or clock
for _, each in ipairs(redis.call('ZRANGEBYSCORE', processes, '-inf', text(over))) do
  redis.call('ZREM', processes, each)
  redis.call('SADD', dead, each)
end
local more = 0
local gone = redis.call('SRANDMEMBER', dead)
if gone then
  local held = prefix .. ':held:' .. gone
  for _, what in ipairs(redis.call('SPOP', held, at_once)) do
    local name, user = unpack(cjson.decode(what))
    if user then
      settle(name, user, gone)
    else
      redis.call('HDEL', prefix .. ':streams:' .. name, gone)
    end
  end
  if redis.call('EXISTS', held) == 0 then redis.call('SREM', dead, gone) end
  more = redis.call('SCARD', dead)
end
local due = redis.call('ZRANGEBYSCORE', leaving, '-inf', clock, 'LIMIT', 0, at_once)
for _, what in ipairs(due) do
  redis.call('ZREM', leaving, what)
  settle(unpack(cjson.decode(what)))
end
if #due == at_once then more = 1 end
"""

# States how many streams of a name the process has.
_STATE = """
local state = function (name, own)
  local streams, what = prefix .. ':streams:' .. name, cjson.encode({name})
  if own > 0 then
    redis.call('HSET', streams, process, own)
    redis.call('SADD', prefix .. ':held:' .. process, what)
  else
    redis.call('HDEL', streams, process)
    redis.call('SREM', prefix .. ':held:' .. process, what)
  end
end
"""

# More ARGV: a list of reports, and a list of names and counts, as JSON. Returns the epoch, whether
# the process was known, and whether there is more to undo.
_REPORT = (
    _BEGIN
    + _LIVE
    + _SWEEP
    + _STATE
    + """
for _, report in ipairs(cjson.decode(ARGV[7])) do
  local here = prefix .. ':here:' .. report.channel
  local what = cjson.encode({report.channel, report.user})
  local stored = redis.call('HGET', here, report.user)
  local entry = stored and cjson.decode(stored)
  if not report.grace then
    entry = entry or {since = text(clock * 1000), by = {}}
    local was_announced = entry.leave
    if report.leave then entry.leave, entry.kept = report.leave, report.kept end
    entry.info = report.info
    entry.by[process] = 0
    redis.call('HSET', here, report.user, cjson.encode(entry))
    redis.call('SADD', prefix .. ':held:' .. process, what)
    if report.join and not was_announced then
      announce(report.channel, report.join, report.kept)
    end
  elseif entry then
    entry.by[process] = clock + report.grace
    redis.call('HSET', here, report.user, cjson.encode(entry))
    redis.call('SREM', prefix .. ':held:' .. process, what)
    redis.call('ZADD', leaving, 'GT', text(clock + report.grace), what)
    if report.grace == 0 then settle(report.channel, report.user) end
  end
end
for _, counted in ipairs(cjson.decode(ARGV[8])) do state(unpack(counted)) end
return {epoch, known, more}
"""
)

# More ARGV: the channel. Returns whether there is more to undo, and the users with their entries.
_PRESENT = (
    _BEGIN
    + _SWEEP
    + """
return {more, redis.call('HGETALL', prefix .. ':here:' .. ARGV[7])}
"""
)

# More ARGV: the name, how many the process wants, how many all may have or ''. Returns whether it
# may have them, whether the process was known, and the epoch.
_COUNT = (
    _BEGIN
    + _LIVE
    + _SWEEP
    + _STATE
    + """
local name, own, limit = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local streams, sum = prefix .. ':streams:' .. name, own
local counts = redis.call('HGETALL', streams)
for at = 1, #counts, 2 do
  if counts[at] == process then
    -- It is stated anew below.
  elseif redis.call('ZSCORE', processes, counts[at]) then
    sum = sum + tonumber(counts[at + 1])
  else
    redis.call('HDEL', streams, counts[at])
  end
end
local allowed = not limit or sum <= limit
if allowed then state(name, own) end
return {allowed and 1 or 0, known, epoch}
"""
)


class RedisPresenceStore:
    """
    Keep who is present in Redis.

    Differs from the contract: nothing.

    Args:
        store: The broker's store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._process = secrets.token_hex(8)
        self._epoch: bytes | None = None
        # Whether nothing has been reported under this name yet.
        self._is_new = True
        # Whether count() has noticed that earlier reports may be lost.
        self._is_forgotten = False

    def report(
        self,
        reports: Sequence[Join | Leave] = (),
        counts: Mapping[str, int] = MappingProxyType({}),
    ) -> bool:
        has_begun, forgotten = self._epoch is not None, self._is_forgotten
        self._is_forgotten = False
        told, counted = [self._as_json(each) for each in reports], list(counts.items())
        is_known = not forgotten
        more = 1
        while told or counted or more:
            some = json.dumps(told[:AT_ONCE]), json.dumps(counted[:AT_ONCE])
            epoch, known, more = self._run(_REPORT, *some)
            told, counted = told[AT_ONCE:], counted[AT_ONCE:]
            # A store that may have lost events may have lost this, too.
            is_known = is_known and (bool(known) or self._is_new) and epoch == self._epoch
            self._epoch, self._is_new = epoch, False
        if has_begun and not is_known:
            # What is left under the old name goes when its lease ends.
            self._process, self._is_new = secrets.token_hex(8), True
        return is_known

    def sweep(self) -> None:
        while self._run(_BEGIN + _SWEEP + "return more"):
            pass

    def present(self, channel: str) -> list[Present]:
        more = 1
        while more:
            more, found = self._run(_PRESENT, channel)
        return sorted(_present(found), key=lambda present: (present.since, present.user))

    def count(self, name: str, own: int, limit: int | None = None) -> bool:
        allowed, known, epoch = self._run(_COUNT, name, own, "" if limit is None else limit)
        if self._epoch is not None and not ((known or self._is_new) and epoch == self._epoch):
            self._is_forgotten = True
        return bool(allowed)

    def _run(self, script: str, *args: Any) -> Any:
        return self._store.run(script, self._process, int(LEASE * 1000), *args)

    def _as_json(self, report: Join | Leave) -> dict[str, Any]:
        told: dict[str, Any] = {"channel": report.channel, "user": report.user}
        if isinstance(report, Leave):
            return {**told, "grace": int(report.grace * 1000)}
        # As text, because Lua has no empty lists and no whole numbers.
        told["info"] = json.dumps(report.info)
        told["kept"] = self._store.kept(report.channel)
        for name, what in (("join", report.join), ("leave", report.leave)):
            if what is not None:
                told[name] = _as_published(what)
        return told


def _as_published(what: PresenceEvent) -> tuple[str, str]:
    return json.dumps([what.event, what.key, None]), what.body.decode()


def _present(found: Sequence[bytes]) -> Iterator[Present]:
    for user, stored in zip(found[::2], found[1::2], strict=True):
        entry = json.loads(stored)
        yield Present(user.decode(), int(entry["since"]) / 1e6, json.loads(entry["info"]))
