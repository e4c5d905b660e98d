"""
The attendance book of several processes: kept in Redis, written by one script at a time.

Keys, behind the prefix: ``processes`` has when each process's lease ends, in milliseconds;
``held:`` with a process, what it holds; ``here:`` with a channel, who is there, and who holds each;
``leaving``, when to look whether somebody is held at all; ``streams:`` with a name, how many each
process has of it. Where a process's lease is over, the next script of any process undoes what it
held, some hundred at a time.

"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from .attendance import LEASE, Announcement, Arrival, Departure, Present
from .redis_scripts import PUBLISHING
from .redis_store import Store

__all__ = ["RedisAttendance"]

# What one script is told; it undoes as much. Nothing else can interrupt it.
AT_ONCE = 200

# KEYS: the hash of the store.
# ARGV: a new epoch, the prefix, what topics begin with, the command that publishes, the process,
# its lease in milliseconds.
_SWEEP = (
    PUBLISHING
    + """
local prefix, topics, command = ARGV[2], ARGV[3], ARGV[4]
local process, lease = ARGV[5], tonumber(ARGV[6])
local clock, at_once = math.floor(now / 1000), 200
local processes, leaving = prefix .. ':processes', prefix .. ':leaving'
local announce = function (channel, what, kept)
  publish(prefix .. ':events:' .. channel, prefix .. ':floor:' .. channel,
    topics .. channel, command, what[1], what[2], unpack(kept))
end
-- Nobody is left who holds the user, or whose grace is not over.
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
local more = 0
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', processes, '-inf', clock, 'LIMIT', 0, 1)) do
  local held = prefix .. ':held:' .. dead
  for _, what in ipairs(redis.call('SPOP', held, at_once)) do
    local name, user = unpack(cjson.decode(what))
    if user then
      settle(name, user, dead)
    else
      redis.call('HDEL', prefix .. ':streams:' .. name, dead)
    end
  end
  if redis.call('EXISTS', held) == 0 then redis.call('ZREM', processes, dead) end
  more = redis.call('ZCOUNT', processes, '-inf', clock)
end
local due = redis.call('ZRANGEBYSCORE', leaving, '-inf', clock, 'LIMIT', 0, at_once)
for _, what in ipairs(due) do
  redis.call('ZREM', leaving, what)
  settle(unpack(cjson.decode(what)))
end
if #due == at_once then more = 1 end
"""
)

# ARGV, further: a list of reports as JSON. Returns the epoch, whether the process's lease held, and
# whether there is more to undo.
_REPORT = (
    _SWEEP
    + """
local ends = redis.call('ZSCORE', processes, process)
local known = ends and tonumber(ends) > clock and 1 or 0
redis.call('ZADD', processes, text(clock + lease), process)
for _, report in ipairs(cjson.decode(ARGV[7])) do
  local here = prefix .. ':here:' .. report.channel
  local what = cjson.encode({report.channel, report.user})
  local stored = redis.call('HGET', here, report.user)
  local entry = stored and cjson.decode(stored)
  if not report.grace then
    entry = entry or {since = text(now), by = {}}
    entry.info, entry.leave, entry.kept = report.info, report.leave, report.kept
    entry.by[process] = 0
    redis.call('HSET', here, report.user, cjson.encode(entry))
    redis.call('SADD', prefix .. ':held:' .. process, what)
    if not stored and report.join then announce(report.channel, report.join, report.kept) end
  elseif entry then
    entry.by[process] = clock + report.grace
    redis.call('HSET', here, report.user, cjson.encode(entry))
    redis.call('SREM', prefix .. ':held:' .. process, what)
    redis.call('ZADD', leaving, 'GT', text(clock + report.grace), what)
    if report.grace == 0 then settle(report.channel, report.user) end
  end
end
return {epoch, known, more}
"""
)

# ARGV, further: the channel. Returns whether there is more to undo, and users with what is known
# of each.
_PRESENT = (
    _SWEEP
    + """
return {more, redis.call('HGETALL', prefix .. ':here:' .. ARGV[7])}
"""
)

# ARGV, further: the name, how many the process wants, how many all may have or ''.
_COUNT = (
    _SWEEP
    + """
local name, own, limit = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local streams, sum = prefix .. ':streams:' .. name, own
local counts = redis.call('HGETALL', streams)
for at = 1, #counts, 2 do
  local ends = redis.call('ZSCORE', processes, counts[at])
  if counts[at] == process then
    -- It is stated anew.
  elseif ends and tonumber(ends) > clock then
    sum = sum + tonumber(counts[at + 1])
  else
    redis.call('HDEL', streams, counts[at])
  end
end
if limit and sum > limit then return 0 end
local what = cjson.encode({name})
if own > 0 then
  redis.call('HSET', streams, process, own)
  redis.call('SADD', prefix .. ':held:' .. process, what)
else
  redis.call('HDEL', streams, process)
  redis.call('SREM', prefix .. ':held:' .. process, what)
end
return 1
"""
)


class RedisAttendance:
    """
    Keep who is there in Redis.

    Differs from the contract: nothing.

    Args:
        store: What the events are in.

    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._process = secrets.token_hex(8)
        self._epoch: bytes | None = None

    def report(self, reports: Sequence[Arrival | Departure] = ()) -> bool:
        """
        Note who came and went.

        """
        left = list(reports)
        all_known = True
        while True:
            some, left = left[:AT_ONCE], left[AT_ONCE:]
            told = json.dumps([self._as_json(each) for each in some])
            epoch, known, more = self._run(_REPORT, told)
            # A store that may have lost something may have lost this, too.
            all_known = all_known and bool(known) and epoch == self._epoch
            self._epoch = epoch
            if not left and not more:
                return all_known

    def sweep(self) -> None:
        """
        Let go of those whose time is over.

        """
        while self._run(_SWEEP + "return more"):
            pass

    def present(self, channel: str) -> list[Present]:
        """
        Return who is on a channel.

        """
        more = 1
        while more:
            more, found = self._run(_PRESENT, channel)
        return sorted(_present(found), key=lambda present: (present.since, present.user))

    def count(self, name: str, own: int, limit: int | None = None) -> bool:
        """
        State how many of something this process has.

        """
        return bool(self._run(_COUNT, name, own, "" if limit is None else limit))

    def _run(self, script: str, *args: Any) -> Any:
        return self._store.run(script, self._process, int(LEASE * 1000), *args)

    def _as_json(self, report: Arrival | Departure) -> dict[str, Any]:
        told: dict[str, Any] = {"channel": report.channel, "user": report.user}
        if isinstance(report, Departure):
            return {**told, "grace": int(report.grace * 1000)}
        # As text, because Lua has no empty lists and no whole numbers.
        told["info"] = json.dumps(report.info)
        told["kept"] = self._store.kept(report.channel)
        for name, what in (("join", report.join), ("leave", report.leave)):
            if what is not None:
                told[name] = _as_published(what)
        return told


def _as_published(what: Announcement) -> tuple[str, str]:
    return json.dumps([what.event, what.key, None]), what.body.decode()


def _present(found: Sequence[bytes]) -> Iterator[Present]:
    for user, stored in zip(found[::2], found[1::2], strict=True):
        entry = json.loads(stored)
        yield Present(user.decode(), int(entry["since"]) / 1e6, json.loads(entry["info"]))
