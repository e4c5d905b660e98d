"""
The job store of several processes: in Redis, changed by one script at a time.

Keys, after the prefix: ``job:`` and a job's name, what is known of it; ``jobs:leases``, when each
running job's lease is over; ``jobs:all`` and ``jobs:of:`` and a user, the names of the jobs, with
the time until which they are kept; ``jobs:running:`` and a user, the names of those that run. All
times are in milliseconds of Redis's clock. A name is the user, a line feed, and the key.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from ...exceptions import JobRefused
from ..jobs import (
    LEASE,
    Hold,
    JobName,
    JobRecord,
    JobTerms,
    Outcome,
    Tick,
    View,
    Written,
    end_of_job,
)
from ..messages import Position
from ..retention import WHOLE
from .group_commit import GroupCommit
from .scripts import PUBLISHING
from .store import Store

__all__ = ["RedisJobStore"]

# Jobs per script. While a script runs, Redis does nothing else.
AT_ONCE = 200

# Seconds after which a running job whose lease nobody renews is forgotten, if nobody even looks.
FORGOTTEN = 3600

_HEADER = json.dumps([None, None, None])

# KEYS: the hash of the store; its field "jobs" is the time of the latest tick.
# ARGV: a new epoch, the prefix, the prefix of topics, the command that publishes, the lease, the
# header and the body of the event that says that a job is lost.
_BEGIN = (
    PUBLISHING
    + """
local prefix, topics, command, lease = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
-- Redis's clock itself: the numbers of positions stand still after it has been set back.
local clock = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local leases, all = prefix .. ':jobs:leases', prefix .. ':jobs:all'
local job_of = function (name) return prefix .. ':job:' .. name end
local of_user = function (kind, name)
  return prefix .. ':jobs:' .. kind .. ':' .. string.match(name, '^[^\\n]*')
end
local say = function (run, header, body)
  local channel = 'MARK' .. run
  publish(prefix .. ':events:' .. channel, prefix .. ':floor:' .. channel, topics .. channel,
    command, header, body, WHOLE)
end
local expire = function (run, milliseconds)
  redis.call('PEXPIRE', prefix .. ':events:MARK' .. run, milliseconds)
  redis.call('PEXPIRE', prefix .. ':floor:MARK' .. run, milliseconds)
end
local tell_over = function (run)
  publish('', '', topics .. 'MARKjobs', command,
    cjson.encode({'over', cjson.null, {run = run}, false}), '', 0, 0, 0, 0)
end
local keep = function (name, run, milliseconds)
  redis.call('PEXPIRE', job_of(name), milliseconds)
  expire(run, milliseconds)
  redis.call('ZADD', all, text(clock + milliseconds), name)
  redis.call('ZADD', of_user('of', name), text(clock + milliseconds), name)
  -- Other jobs of the user may be kept for longer.
  if redis.call('PTTL', of_user('of', name)) < milliseconds then
    redis.call('PEXPIRE', of_user('of', name), milliseconds)
  end
end
local finish = function (name, outcome, message, header, body)
  local run, keep_for = unpack(redis.call('HMGET', job_of(name), 'run', 'keep'))
  redis.call('ZREM', leases, name)
  redis.call('SREM', of_user('running', name), name)
  if not run then return end
  say(run, header, body)
  redis.call('HSET', job_of(name), 'outcome', outcome, 'message', message, 'ends', text(number),
    'ends_epoch', epoch, 'ended', text(clock))
  keep(name, run, tonumber(keep_for))
  tell_over(run)
end
local is_held = function (name, run, fence)
  local job = redis.call('HMGET', job_of(name), 'run', 'fence', 'outcome')
  return job[1] == run and job[2] == fence and not job[3]
end
-- Whether there is output, of a former run, too.
local is_kept = function (run) return redis.call('EXISTS', prefix .. ':floor:MARK' .. run) == 1 end
-- Until the next tick and the one after it, of which one may fail.
local view = function (name)
  if redis.call('EXISTS', job_of(name)) == 1 then
    redis.call('HSET', job_of(name), 'viewed', text(clock + lease / 2))
  end
end
-- Without a tick for a while, nobody could renew a lease, or say that a job has viewers.
local alive = function ()
  local seen = tonumber(redis.call('HGET', KEYS[1], 'jobs') or '0')
  if clock - seen > lease / 2 then
    for _, each in ipairs(redis.call('ZRANGEBYSCORE', leases, text(seen), '+inf')) do
      redis.call('ZADD', leases, text(clock + lease), each)
      view(each)
    end
  end
  redis.call('HSET', KEYS[1], 'jobs', text(clock))
end
local sweep = function ()
  local over = redis.call('ZRANGEBYSCORE', leases, '-inf', text(clock), 'LIMIT', 0, AT_ONCE)
  for _, name in ipairs(over) do
    finish(name, 'lost', 'its process is gone', ARGV[6], ARGV[7])
  end
  return #over
end
""".replace("AT_ONCE", str(AT_ONCE))
    .replace("WHOLE", ", ".join(map(str, WHOLE)))
    .replace("MARK", r"\2")
)

# More ARGV: the name, the run if there is none, whether to restart, whether to take, the limit or
# '', and the terms: milliseconds to keep it, bytes, milliseconds alone or '', and meta as JSON.
_START = (
    _BEGIN
    + """
local name, new, limit = ARGV[8], ARGV[9], tonumber(ARGV[12])
local job = job_of(name)
local run, outcome = unpack(redis.call('HMGET', job, 'run', 'outcome'))
-- The same again: its answer was lost.
if run == new then return {1, redis.call('HGETALL', job)} end
if run and not outcome and ARGV[11] == '1' then
  redis.call('HINCRBY', job, 'fence', 1)
  redis.call('ZADD', leases, text(clock + lease), name)
  tell_over(run)
  return {1, redis.call('HGETALL', job)}
end
if run and (not outcome or ARGV[10] ~= '1') then return {0, redis.call('HGETALL', job)} end
local running = of_user('running', name)
if limit and redis.call('SCARD', running) >= limit then return {2, {}} end
if run then redis.call('DEL', job) end
redis.call('HSET', job, 'run', new, 'fence', 1, 'epoch', epoch, 'begins', text(number),
  'started', text(clock), 'viewed', text(clock), 'events', 0, 'bytes', 0,
  'keep', ARGV[13], 'most', ARGV[14], 'alone', ARGV[15], 'meta', ARGV[16])
redis.call('ZADD', leases, text(clock + lease), name)
redis.call('SADD', running, name)
redis.call('ZREMRANGEBYSCORE', all, '-inf', text(clock))
redis.call('ZREMRANGEBYSCORE', of_user('of', name), '-inf', text(clock))
keep(name, new, tonumber(ARGV[13]) + FORGOTTEN)
return {1, redis.call('HGETALL', job)}
""".replace("FORGOTTEN", str(FORGOTTEN * 1000))
)

# More ARGV: the header, and for each job the name, the run, the fence, how many events there were,
# how many there are now, and these. Returns for each the name of what became of them.
_WRITE = (
    _BEGIN
    + """
local write = function (name, run, fence, before, first, last)
  local job = redis.call('HMGET', job_of(name), 'run', 'fence', 'outcome', 'events', 'bytes',
    'most', 'keep')
  if job[1] ~= run or job[2] ~= fence or job[3] then return 'REFUSED' end
  local events, bytes = tonumber(job[4]), tonumber(job[5])
  if before > events then return 'GAP' end
  local new = first + events - before
  for at = new, last do bytes = bytes + string.len(ARGV[at]) end
  if bytes > tonumber(job[6]) then return 'FULL' end
  if new > last then return 'STORED' end
  for at = new, last do say(run, ARGV[8], ARGV[at]) end
  redis.call('HSET', job_of(name), 'events', before + last - first + 1, 'bytes', text(bytes))
  expire(run, tonumber(job[7]) + FORGOTTEN)
  return 'STORED'
end
local at, answers = 9, {}
while at < #ARGV do
  local last = at + 4 + tonumber(ARGV[at + 4])
  table.insert(answers,
    write(ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), at + 5, last))
  at = last + 1
end
return answers
""".replace("FORGOTTEN", str(FORGOTTEN * 1000))
)

# More ARGV: the name, the run, the fence, outcome, message, and header and body of the last event.
_FINISH = (
    _BEGIN
    + """
if not is_held(ARGV[8], ARGV[9], ARGV[10]) then return 0 end
finish(ARGV[8], ARGV[11], ARGV[12], ARGV[13], ARGV[14])
return 1
"""
)

# More ARGV: the name, message, and header and body of the last event.
_CANCEL = (
    _BEGIN
    + """
local run, outcome = unpack(redis.call('HMGET', job_of(ARGV[8]), 'run', 'outcome'))
if not run or outcome then return 0 end
finish(ARGV[8], 'cancelled', ARGV[9], ARGV[10], ARGV[11])
return 1
"""
)

# More ARGV: lists of what is held and what is viewed, as JSON. Returns runs that are gone, that
# are alone, and that are forgotten, and how many leases were over.
_TICK = (
    _BEGIN
    + """
alive()
local gone, lonely, forgotten = {}, {}, {}
for _, viewed in ipairs(cjson.decode(ARGV[9])) do
  local name, run = unpack(viewed)
  if redis.call('HGET', job_of(name), 'run') == run then
    view(name)
  elseif not is_kept(run) then
    table.insert(forgotten, run)
  end
end
for _, held in ipairs(cjson.decode(ARGV[8])) do
  local name, run, fence = unpack(held)
  if is_held(name, run, fence) then
    redis.call('ZADD', leases, text(clock + lease), name)
    local job = redis.call('HMGET', job_of(name), 'keep', 'alone', 'viewed')
    -- Not each time: leases are renewed every few seconds, and these are hours.
    if redis.call('PTTL', job_of(name)) < tonumber(job[1]) + FORGOTTEN / 2 then
      keep(name, run, tonumber(job[1]) + FORGOTTEN)
    end
    local alone = tonumber(job[2])
    if alone and clock - tonumber(job[3]) > alone then table.insert(lonely, run) end
  else
    table.insert(gone, run)
  end
end
return {gone, lonely, forgotten, sweep()}
""".replace("FORGOTTEN", str(FORGOTTEN * 1000))
)

# More ARGV: the name.
_GET = _BEGIN + "return redis.call('HGETALL', job_of(ARGV[8]))"

# More ARGV: the kind of list, how many to skip, how many to return. Returns names and jobs.
_FIND = (
    _BEGIN
    + """
local found = {}
local from, count = ARGV[9], ARGV[10]
local names = redis.call('ZRANGEBYSCORE', prefix .. ':jobs:' .. ARGV[8], '(' .. text(clock), '+inf',
  'LIMIT', from, count)
for _, name in ipairs(names) do table.insert(found, {name, redis.call('HGETALL', job_of(name))}) end
return found
"""
)


class RedisJobStore:
    """
    Keep jobs in Redis.

    Differs from the contract: nothing.

    Args:
        store: The broker's store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writes = GroupCommit(self._write, AT_ONCE)
        self._lost = _as_stored(Outcome.LOST, "its process is gone")

    def start(
        self,
        name: JobName,
        terms: JobTerms,
        *,
        restart: bool = False,
        take: bool = False,
        limit: int | None = None,
    ) -> tuple[JobRecord, Hold | None]:
        alone = terms.stop_when_alone
        run = secrets.token_urlsafe(16)
        state, found = self._run(
            _START,
            *(_text(name), run, int(restart), int(take), "" if limit is None else limit),
            *(int(terms.keep_for * 1000), terms.max_bytes),
            *("" if alone is None else int(alone * 1000), json.dumps(terms.meta)),
        )
        if state == 2:
            raise JobRefused(f"this user has {limit} jobs already")
        record = _record(name, found)
        assert record is not None
        return record, Hold(name, record.run, record.fence) if state else None

    def write(self, hold: Hold, number: int, bodies: Sequence[bytes]) -> Written:
        held = _text(hold.name), hold.run, hold.fence
        return self._writes.write((*held, number, len(bodies), *bodies))

    def finish(self, hold: Hold, outcome: Outcome, message: str = "") -> bool:
        held = _text(hold.name), hold.run, hold.fence
        end = _as_stored(outcome, message)
        return bool(self._run(_FINISH, *held, outcome.value, message, *end))

    def cancel(self, name: JobName, message: str = "") -> bool:
        end = _as_stored(Outcome.CANCELLED, message)
        return bool(self._run(_CANCEL, _text(name), message, *end))

    def tick(self, held: Sequence[Hold], viewed: Sequence[View]) -> Tick:
        tick = Tick(set(), set(), set())
        holds = [[_text(hold.name), hold.run, str(hold.fence)] for hold in held]
        views = [[_text(view.name), view.run] for view in viewed]
        more = AT_ONCE
        while holds or views or more == AT_ONCE:
            some = json.dumps(holds[:AT_ONCE]), json.dumps(views[:AT_ONCE])
            *found, more = self._run(_TICK, *some)
            for runs, some_runs in zip(tick, found, strict=True):
                runs.update(run.decode() for run in some_runs)
            holds, views = holds[AT_ONCE:], views[AT_ONCE:]
        return tick

    def get(self, name: JobName) -> JobRecord | None:
        return _record(name, self._run(_GET, _text(name)))

    def find(self, user: str | None = None) -> list[JobRecord]:
        kind = "all" if user is None else f"of:{user}"
        return list(self._find(kind))

    def _find(self, kind: str) -> Iterator[JobRecord]:
        skipped, found = 0, [None] * AT_ONCE
        while len(found) == AT_ONCE:
            found = self._run(_FIND, kind, skipped, AT_ONCE)
            skipped += len(found)
            for text, fields in found:
                user, _, key = text.decode().partition("\n")
                record = _record(JobName(key, user), fields)
                if record is not None:
                    yield record

    def _write(self, writes: Sequence[Sequence[Any]]) -> list[Written]:
        answers = self._run(_WRITE, _HEADER, *chain.from_iterable(writes))
        return [Written[answer.decode()] for answer in answers]

    def _run(self, script: str, *args: Any) -> Any:
        return self._store.run(script, int(LEASE * 1000), *self._lost, *args)


def _text(name: JobName) -> str:
    return f"{name.user}\n{name.key}"


def _as_stored(outcome: Outcome, message: str) -> tuple[str, bytes]:
    end = end_of_job("", outcome, message)
    return json.dumps([end.event, end.key, end.meta]), end.body


def _record(name: JobName, found: Sequence[bytes]) -> JobRecord | None:
    fields = {
        key.decode(): each.decode() for key, each in zip(found[::2], found[1::2], strict=True)
    }
    if "run" not in fields:
        return None
    is_over = "outcome" in fields
    return JobRecord(
        name=name,
        run=fields["run"],
        fence=int(fields["fence"]),
        begins=Position(fields["epoch"], int(fields["begins"])),
        started=int(fields["started"]) / 1000,
        meta=json.loads(fields["meta"]),
        events=int(fields["events"]),
        bytes=int(fields["bytes"]),
        outcome=Outcome(fields["outcome"]) if is_over else None,
        message=fields.get("message", ""),
        ends=Position(fields["ends_epoch"], int(fields["ends"])) if is_over else None,
        ended=int(fields["ended"]) / 1000 if is_over else None,
    )
