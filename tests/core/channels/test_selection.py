"""Where a new client starts, and which events of its channels it gets."""

import pytest

from sse_sync import (
    END_ID,
    CloseReason,
    ConfigurationError,
    EventStream,
    Overflow,
    ServerSentEvent,
)
from sse_sync.brokers.base import NO_FLOORS, History, Position
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.resume import ChannelReader
from sse_sync.channels.selection import Selection, matches
from sse_sync.settings import Options
from sse_sync.testing import read_events
from tests.core.channels.reading import Broker, data, events, opened, subscribed


class Paged(MemoryBroker):
    """A broker that stops after so many bytes, and that may be busy meanwhile."""

    reads = 0

    def history(self, channels, after, limit=None, floors=NO_FLOORS):
        self.reads += 1
        self.meanwhile()
        messages, complete = super().history(channels, after, limit, floors)
        size = 0
        for at, message in enumerate(messages, 1):
            size += len(message.body)
            if limit is not None and size >= limit:
                return History(messages[:at], complete)
        return History(messages, complete)

    def meanwhile(self):
        """Happens before each reading."""


def fill(hub, count, *, first=0, channels="ab", **options):
    """Publish numbers in turn."""
    for number in range(first, first + count):
        hub.publish(channels[number % len(channels)], str(number), **options)


def replayed(hub, *channels, environ, count, **arguments):
    """Return the texts that a new client gets, and check the position that it gets first."""
    stream = opened(hub, *channels, environ=environ, **arguments)
    first, *found = events(stream, 1 + count)
    assert first.event == "stream-open"
    stream.close()
    if found:
        again = opened(hub, *channels, environ=environ, last_event_id=first.id)
        assert events(again, 1) == found[:1]
        again.close()
        assert Position.parse(first.id).number == Position.parse(found[0].id).number - 1
    return [event.data for event in found]


@pytest.mark.parametrize("since", ["", "x", "1 2", 7, True, ["a-1"]])
def test_unusable_position(since):
    """The position comes from the application, so that a wrong one is its error."""
    with pytest.raises(ConfigurationError, match="since must be what position"):
        Selection.of(since=since)


@pytest.mark.parametrize("form", [str, lambda position: position], ids=["text", "position"])
def test_since(hub, environ, form):
    """A new client starts after a position, which it gets first, and misses nothing."""
    hub.publish("a", "before")
    since = hub.position()
    for number in range(3):
        hub.publish("a", str(number))
    stream = opened(hub, environ=environ, since=form(since))
    first, *missed = events(stream, 4)
    assert first == ServerSentEvent("", event="stream-open", id=str(since))
    assert [event.data for event in missed] == ["0", "1", "2"]
    hub.publish("a", "new")
    assert data(stream, 1) == ["new"]
    stream.close()


def test_last_event_id_precedes_since(hub, environ):
    """A client that comes back continues where it was."""
    since = hub.position()
    last = hub.publish("a", "seen")
    hub.publish("a", "missed")
    stream = opened(hub, environ=environ, since=since, last_event_id=last)
    assert data(stream, 1) == ["missed"]
    stream.close()


def test_since_with_nothing_after_it(hub, environ):
    """The client has a position even if nothing was published meanwhile."""
    hub.publish("a", "before")
    since = hub.position()
    stream = opened(hub, environ=environ, since=since)
    (first,) = events(stream, 1)
    assert (first.event, first.id) == ("stream-open", str(since))
    stream.close()


def test_since_beyond_history(make_hub, environ):
    """Where events are missing, the client is told so, and gets the state."""
    hub = make_hub(MemoryBroker(history=2))
    since = hub.position()
    for number in range(3):
        hub.publish("a", str(number))
    stream = opened(hub, environ=environ, since=since, snapshot=lambda: ["state"])
    reset, state = events(stream, 2)
    assert (reset.event, state.data) == ("stream-reset", "state")
    stream.close()


def test_since_an_earlier_epoch(hub, environ):
    """A position from before the broker was restarted is no error: the client is reset."""
    stream = opened(hub, environ=environ, since=Position("old", 5))
    (reset,) = events(stream, 1)
    assert reset.event == "stream-reset"
    stream.close()


def test_since_and_snapshot(hub, environ):
    """The page has its state already."""
    since = hub.position()
    stream = opened(hub, environ=environ, since=since, snapshot=lambda: ["state"])
    assert [event.event for event in events(stream, 1)] == ["stream-open"]
    hub.publish("a", "new")
    assert data(stream, 1) == ["new"]
    stream.close()


@pytest.mark.parametrize("replay", [0, -1, True, 1.5, "latest ", "first", [1]])
def test_unusable_replay(replay):
    """It is a number, or one of two words."""
    with pytest.raises(ConfigurationError, match="replay must be a number of events, 'all' or"):
        Selection.of(replay=replay)


def test_replay_and_others(hub):
    """Only one of them can say what a new client gets first."""
    with pytest.raises(ConfigurationError, match="replay and since both"):
        Selection.of(replay=1, since=hub.position())
    with pytest.raises(ConfigurationError, match="replay and snapshot both"):
        subscribed(hub, "a", replay=1, snapshot=list)


@pytest.mark.parametrize(("replay", "expected"), [(1, 1), (5, 5), (9, 9), (10, 9), ("all", 9)])
def test_replay(hub, environ, replay, expected):
    """A new client gets the last events of its channels together, in order, and then live ones."""
    fill(hub, 9)
    hub.publish("c", "elsewhere")
    texts = replayed(hub, "a", "b", environ=environ, count=expected, replay=replay)
    assert texts == [str(number) for number in range(9 - expected, 9)]
    stream = opened(hub, "a", "b", environ=environ, replay=replay)
    events(stream, 1 + expected)
    fill(hub, 2, first=9)
    assert data(stream, 2) == ["9", "10"]
    stream.close()


@pytest.mark.parametrize("replay", [7, "all", "latest"])
def test_replay_of_nothing(hub, environ, replay):
    """Without a history, a new client starts at the present."""
    hub.publish("c", "elsewhere")
    stream = opened(hub, environ=environ, replay=replay)
    assert events(stream, 1) == [ServerSentEvent("", event="stream-open", id=str(hub.position()))]
    hub.publish("a", "new")
    assert data(stream, 1) == ["new"]
    stream.close()


@pytest.mark.parametrize("replay", [7, "all", "latest"])
def test_replay_is_for_new_clients(hub, environ, replay):
    """A client that comes back gets what it missed, and nothing else."""
    fill(hub, 4, channels="a")
    last = hub.publish("a", "seen")
    hub.publish("a", "missed")
    stream = opened(hub, environ=environ, replay=replay, last_event_id=last)
    assert data(stream, 1) == ["missed"]
    stream.close()
    stream = opened(hub, environ=environ, replay=replay, last_event_id="unknown")
    assert [event.event for event in events(stream, 1)] == ["stream-reset"]
    hub.publish("a", "new")
    assert data(stream, 1) == ["new"]
    stream.close()


def test_replay_latest(hub, environ):
    """It is the last event of each key of each channel, and each event without a key."""
    for channel, key, text in (
        ("a", "x", "a x 1"),
        ("b", "x", "b x"),
        ("a", None, "no key 1"),
        ("a", "y", "a y"),
        ("a", "x", "a x 2"),
        ("a", None, "no key 2"),
    ):
        hub.publish(channel, text, key=key)
    texts = replayed(hub, "a", "b", environ=environ, count=5, replay="latest")
    assert texts == ["b x", "no key 1", "a y", "a x 2", "no key 2"]


def test_overflow_keeps_the_latest_of_each_channel(hub, runtime):
    """The same key in another channel is another subject, for a slow client, too."""
    stream = opened(hub, "a", "b", overflow=Overflow.LATEST)
    events(stream, 1)
    for channel, text in (("a", "1"), ("b", "2"), ("a", "3")):
        hub.publish(channel, text, key="x")
    assert data(stream, 2) == ["2", "3"]
    stream.close()


@pytest.mark.parametrize(("replay", "expected"), [(2, "37"), ("latest", "137")])
def test_filter_comes_first(hub, environ, replay, expected):
    """Events that this client does not get do not count."""
    for number in range(9):
        hub.publish("a", str(number), key=str(number % 4), meta={"is mine": number in (1, 3, 7)})
    hub.publish("a", "hidden", key="1")

    def mine(event, key, meta):
        return meta.get("is mine")

    if replay == "latest":
        expected = "17"  # The third is an earlier one of the seventh's key.
    texts = []
    stream = opened(hub, environ=environ, replay=replay, filter=mine)
    first, *found = events(stream, 1 + len(expected))
    texts = [event.data for event in found]
    assert "".join(texts) == expected
    assert Position.parse(first.id).number < Position.parse(found[0].id).number
    stream.close()


@pytest.mark.parametrize("replay", [150, "all", "latest"])
def test_replay_in_rounds(make_hub, environ, replay):
    """A history that is larger than what may wait for a client is read in parts."""
    broker = Paged()
    hub = make_hub(broker)
    fill(hub, 200)
    expected = [str(number) for number in range(50 if replay == 150 else 0, 200)]
    stream = opened(hub, "a", "b", environ=environ, replay=replay, max_bytes=300)
    assert data(stream, 10) == ["", *expected[:9]]
    fill(hub, 1, first=200)
    assert data(stream, len(expected) - 8) == [*expected[9:], "200"]
    assert broker.reads > 5
    stream.close()


def test_latest_is_reduced_while_reading(make_hub, environ):
    """However much there was of each key, one event of it is sent."""
    hub = make_hub(Paged())
    for number in range(300):
        hub.publish("a", str(number), key=str(number % 3 if number > 5 else number))
    stream = opened(hub, environ=environ, replay="latest", max_bytes=100)
    assert data(stream, 7) == ["", "3", "4", "5", "297", "298", "299"]
    stream.close()


def test_replay_of_channels_with_different_histories(make_hub, environ):
    """A busy channel that has dropped much does not cost a quiet one its events."""
    hub = make_hub(Paged(history=20))
    fill(hub, 5, channels="a")
    fill(hub, 50, first=5, channels="b")
    expected = [*"01234", *(str(number) for number in range(35, 55))]
    stream = opened(hub, "a", "b", environ=environ, replay="all", max_bytes=40)
    assert data(stream, 26) == ["", *expected]
    stream.close()


@pytest.mark.parametrize("replay", [5, "all", "latest"])
def test_history_is_dropped_meanwhile(make_hub, environ, replay):
    """A new client begins with what is held when it is read, however busy the channel is."""
    broker = Paged(history=5)
    hub = make_hub(broker)
    fill(hub, 9, channels="a")
    broker.meanwhile = lambda: fill(hub, 2, first=7 + 2 * broker.reads, channels="a")
    stream = opened(hub, environ=environ, replay=replay)
    opening, *found = events(stream, 6)
    last = 9 + 2 * broker.reads
    broker.meanwhile = lambda: None
    assert opening.event == "stream-open"
    assert [event.data for event in found] == [str(number) for number in range(last - 5, last)]
    # A client that has got no more than its position may come back with it.
    assert Position.parse(opening.id).number == Position.parse(found[0].id).number - 1
    hub.publish("a", "new")
    assert data(stream, 1) == ["new"]
    stream.close()


@pytest.mark.parametrize("replay", [45, "all"])
def test_channel_that_is_busy_during_a_long_replay(make_hub, environ, replay):
    """What it drops before the client has had any of it is not missing."""
    broker = Paged(history=5, channels={"quiet": (50, 60)})
    hub = make_hub(broker)
    for number in range(40):
        hub.publish("quiet", str(number).rjust(10, "0"))
    fill(hub, 9, channels="b")
    broker.meanwhile = lambda: hub.publish("b", "meanwhile")
    stream = opened(hub, "quiet", "b", environ=environ, replay=replay, max_bytes=200)
    found = events(stream, 46)
    broker.meanwhile = lambda: None
    assert broker.reads > 3
    assert found[0].event == "stream-open"
    assert [int(event.data) for event in found[1:41]] == list(range(40))
    assert {event.event for event in found[41:]} == {None}
    stream.close()


def test_channel_that_is_too_busy_for_a_replay(make_hub, environ):
    """If it drops what a client has not read yet, in the middle, the client is told."""
    broker = Paged(history=50)
    hub = make_hub(broker)
    fill(hub, 50, channels="a")
    stream = opened(hub, environ=environ, replay="all", max_bytes=25)
    assert data(stream, 2) == ["", "0"]
    fill(hub, 60, channels="a")
    assert [event.event for event in events(stream, 3)] == [None, None, "stream-reset"]
    stream.close()


@pytest.mark.parametrize("replay", [3, "all", "latest"])
def test_replay_of_what_arrives_meanwhile(make_hub, runtime, replay):
    """What is published while a new client reads the history comes once."""
    broker = Paged()
    hub = make_hub(broker)
    fill(hub, 3, channels="a")

    def meanwhile():
        if broker.reads < 4:
            hub.publish("a", f"meanwhile {broker.reads}")

    broker.meanwhile = meanwhile
    stream = opened(hub, replay=replay)
    found = [event.data for event in events(stream, 4)]
    hub.publish("a", "new")
    found += data(stream, broker.reads + 1)
    expected = ["", "0", "1", "2", *(f"meanwhile {n}" for n in range(1, broker.reads + 1)), "new"]
    assert found == expected
    stream.close()


@pytest.mark.parametrize("replay", [3, "all", "latest"])
def test_interrupted_replay(make_hub, runtime, replay):
    """A client whose process was cut off during its replay continues where it was."""
    broker = Paged()
    hub = make_hub(broker)
    fill(hub, 9, channels="a")
    stream = opened(hub, replay=replay, max_bytes=25)
    count = 3 if replay == 3 else 9
    begun = data(stream, 2)
    hub.dispatcher.interrupted()
    rest = data(stream, count - 1)
    assert [*begun, *rest] == ["", *(str(number) for number in range(9 - count, 9))]
    stream.close()


@pytest.mark.parametrize("replay", [25, "all", "latest"])
@pytest.mark.parametrize("size", [40, 1000])
def test_replay_that_is_cut_off(make_hub, runtime, replay, size):
    """A client that comes back in the middle of it gets the rest, or is told that it cannot."""
    hub = make_hub(Paged(history=20))
    fill(hub, 5, channels="a")
    fill(hub, 50, first=5, channels="b")
    expected = [*"01234", *(str(number) for number in range(35, 55))]
    for got in range(25):
        stream = opened(hub, "a", "b", replay=replay, max_bytes=size)
        begun = events(stream, 1 + got)
        stream.close()
        stream = opened(hub, "a", "b", replay=replay, last_event_id=begun[-1].id)
        # Of b it may have had what came before the 30 events that are no longer held.
        count = 25 - got if got > 5 else 1
        rest = events(stream, count)
        stream.close()
        if got > 5:
            assert [event.data for event in [*begun, *rest]] == ["", *expected]
        else:
            assert [event.event for event in rest] == ["stream-reset"]


def test_not_before(hub, environ):
    """Nothing from before that position is sent, however a client asks for it."""
    forged = hub.position()
    fill(hub, 3, channels="a")
    joined = hub.position()
    hub.publish("a", "later")
    for arguments in (
        {"last_event_id": str(forged)},
        {"last_event_id": str(joined._replace(number=1))},
        {"since": forged},
        {"replay": 9},
        {"replay": "all"},
        {"replay": "latest"},
    ):
        stream = opened(hub, environ=environ, not_before=joined, **arguments)
        found = events(stream, 1 if "last_event_id" in arguments else 2)
        assert found[-1].data == "later", arguments
        stream.close()
    last = hub.publish("a", "seen")
    hub.publish("a", "missed")
    stream = opened(hub, environ=environ, not_before=str(joined), last_event_id=last)
    assert data(stream, 1) == ["missed"]
    stream.close()


def test_not_before_in_another_epoch(hub):
    """Events from before an earlier epoch's position may still be there, with their numbers."""
    reader = ChannelReader(hub, ["a"], Selection.of(not_before=Position("old", 50)))
    assert reader.bounded(Position("new", 7)) == Position("new", 50)
    assert reader.bounded(Position("new", 70)) == Position("new", 70)


def test_not_before_what_this_process_has_received(make_hub, runtime):
    """What was published before a member joined is not sent because it arrives late."""
    broker = Broker()
    hub = make_hub(broker)
    first = opened(hub)
    events(first, 1)
    broker.is_connected = False
    last = hub.publish("a", "before")
    joined = hub.position()
    late = hub.history(["a"], joined._replace(number=joined.number - 1)).messages
    assert [str(message.position) for message in late] == [last]
    stream = opened(hub, not_before=joined)
    broker.is_connected = True
    broker.receive(late)
    hub.publish("a", "after")
    opening, after = events(stream, 2)
    assert (opening.id, after.data) == (str(joined), "after")
    assert data(first, 2) == ["before", "after"]
    stream.close()
    first.close()


@pytest.mark.parametrize(
    "match", ["tenant", ["tenant"], {1: 2}, {"a": [1]}, {"a": {"b": 1}}, {"a": float("nan")}, 7]
)
def test_unusable_match(match):
    """It names values of JSON, none of which has parts."""
    with pytest.raises(ConfigurationError, match="match must be a dictionary of names"):
        Selection.of(match=match)


@pytest.mark.parametrize(
    ("match", "meta", "expected"),
    [
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": 1}, {"a": [1]}, False),
        ({"a": 1}, {}, False),
        ({"a": 1}, None, False),
        ({"a": 1}, [1], False),
        ({"a": 1, "b": "x"}, {"a": 1}, False),
        ({"a": 1, "b": "x"}, {"b": "x", "a": 1}, True),
        ({"a": True}, {"a": True}, True),
        ({"a": True}, {"a": 1}, False),
        ({"a": False}, {"a": 0}, False),
        ({"a": None}, {"a": None}, True),
        ({"a": None}, {}, False),
        ({}, None, True),
        (None, None, True),
    ],
)
def test_matches(match, meta, expected):
    """All names are there, with equal values of JSON."""
    assert matches(Selection.of(match=match).match, meta) == expected


def test_equal_matches():
    """Streams share a fan-out if they want the same; true is not one."""
    one = Selection.of(match={"a": 1, "b": 2}).match
    assert one == Selection.of(match={"b": 2, "a": 1}).match
    assert hash(one) == hash(Selection.of(match={"b": 2.0, "a": 1}).match)
    assert Selection.of(match={"a": 1}).match != Selection.of(match={"a": True}).match


def of_tenants(hub, first, count):
    """Publish numbers for tenants 0, 1 and 2 in turn, and others for nobody."""
    for number in range(first, first + count):
        meta = {"tenant": number % 3, "n": number}
        hub.publish("a", str(number), key=str(number % 2), meta=meta)
        hub.publish("a", "for nobody")


@pytest.mark.parametrize(
    ("replay", "expected"), [(2, ["4", "7"]), ("all", ["1", "4", "7"]), ("latest", ["4", "7"])]
)
def test_match(hub, environ, replay, expected):
    """It selects from what a client missed, from what it is replayed, and from what is live."""
    before = hub.position()
    of_tenants(hub, 0, 9)
    stream = opened(hub, environ=environ, replay=replay, match={"tenant": 1})
    assert data(stream, 1 + len(expected)) == ["", *expected]
    back = opened(hub, environ=environ, last_event_id=str(before), match={"tenant": 1})
    assert data(back, 3) == ["1", "4", "7"]
    of_tenants(hub, 9, 3)
    for each in (stream, back):
        assert data(each, 1) == ["10"]
        each.close()


def test_match_and_filter(hub, environ):
    """A filter is asked only about what matches."""
    asked = []
    stream = opened(
        hub,
        environ=environ,
        match={"tenant": 1},
        filter=lambda event, key, meta: asked.append(meta["n"]) or meta["n"] > 1,
    )
    events(stream, 1)
    of_tenants(hub, 0, 6)
    assert data(stream, 1) == ["4"]
    assert asked == [1, 4]
    stream.close()


def test_match_after_an_interruption(hub, runtime):
    """What matched nothing has been seen, so that it need not be in the history later."""
    stream = opened(hub, match={"tenant": 1})
    events(stream, 1)
    of_tenants(hub, 0, 2)
    assert data(stream, 1) == ["1"]
    hub.dispatcher.interrupted()
    of_tenants(hub, 2, 3)
    assert data(stream, 1) == ["4"]
    stream.close()


SELECTIVE = [
    {"match": {"tenant": 7}},
    {"filter": lambda event, key, meta: meta.get("tenant") == 7},
    {"sender": "me"},
]


def for_others(hub, now, count):
    """Publish events for somebody else, one every five seconds."""
    for number in range(count):
        now[0] += 5
        hub.publish("a", f"other {number}", meta={"tenant": 8}, sender="me")


@pytest.mark.parametrize("selected", SELECTIVE, ids=lambda selected: next(iter(selected)))
def test_client_that_gets_little_of_a_busy_channel(make_hub, environ, selected):
    """It is told its position now and then, so that it is not reset when it comes back."""
    now = [1000.0]
    hub = make_hub(MemoryBroker(history=5, now=lambda: now[0]))
    stream = opened(hub, environ=environ, **selected)
    events(stream, 1)
    for _ in range(3):
        for_others(hub, now, 4)
        (told,) = events(stream, 1)
        assert (told.event, told.data, told.id) == ("stream-position", "", str(hub.position()))
    stream.close()
    hub.publish("a", "missed", meta={"tenant": 7})
    again = opened(hub, environ=environ, last_event_id=told.id, **selected)
    assert data(again, 1) == ["missed"]
    # Its own events are positions, too, and need no other just before or after them.
    for count in (4, 2, 2):
        for_others(hub, now, count)
        hub.publish("a", "live", meta={"tenant": 7})
        assert data(again, 1) == ["live"]
        for_others(hub, now, 2)
    again.close()


@pytest.mark.parametrize("selected", SELECTIVE, ids=lambda selected: next(iter(selected)))
def test_position_in_the_history(make_hub, environ, selected):
    """A client that comes back long after its last event is told at once where it is now."""
    now = [1000.0]
    hub = make_hub(MemoryBroker(history=5, now=lambda: now[0]))
    last = hub.publish("a", "seen", meta={"tenant": 7})
    for_others(hub, now, 4)
    stream = opened(hub, environ=environ, last_event_id=last, **selected)
    (told,) = events(stream, 1)
    assert told.event == "stream-position"
    assert told.id == str(hub.position())
    stream.close()


def test_no_position_on_plain_streams(make_hub, environ):
    """Nothing of ours is sent to an API client."""
    now = [1000.0]
    hub = make_hub(MemoryBroker(now=lambda: now[0]))
    hub.publish("a", "first", meta={"tenant": 7})
    wanted = subscribed(hub, "a", match={"tenant": 7}, replay="all")
    stream = EventStream(wanted, dict(environ), plain=True)
    assert data(stream, 1) == ["first"]
    for_others(hub, now, 20)
    hub.publish("a", "mine", meta={"tenant": 7})
    assert data(stream, 1) == ["mine"]
    stream.close()


@pytest.mark.parametrize("replay", ["latest", 2])
def test_no_position_before_what_was_chosen(make_hub, environ, replay):
    """What a new client is not sent of the history is none of its business."""
    now = [1000.0]
    hub = make_hub(MemoryBroker(now=lambda: now[0]))
    for number in range(10):
        now[0] += 60
        hub.publish("a", str(number), key="x" if 0 < number < 9 else None, meta={"tenant": 7})
    stream = opened(hub, environ=environ, replay=replay, match={"tenant": 7})
    assert data(stream, 3) == ["", *("089" if replay == "latest" else "89")][:3]
    stream.close()


@pytest.mark.parametrize("until", ["", b"done", 7, [1], ["done", ""], {"done": 1}])
def test_unusable_until(until):
    """It is an event type, or several."""
    with pytest.raises(ConfigurationError, match="until must be an event type, or several"):
        Selection.of(until=until)


def ended(stream):
    """Return what a stream sends until it ends, and check that it has ended for good."""
    *found, end = read_events(stream)
    assert (end.event, end.id) == ("stream-end", END_ID)
    return [event.data for event in found]


@pytest.mark.parametrize("until", ["done", ["failed", "done"]])
def test_until(hub, environ, until):
    """The stream ends after the event, for good."""
    reasons = []
    stream = opened(hub, environ=environ, until=until, on_close=reasons.append)
    events(stream, 1)
    for event in ("step", "done", "step"):
        hub.publish("a", event, event=event)
    assert ended(stream) == ["step", "done"]
    stream.close()
    assert reasons == [CloseReason.FINISHED]
    assert hub.statistics().subscriptions == 0


@pytest.mark.parametrize("arguments", [{"replay": "all"}, {"replay": "all", "max_bytes": 20}])
@pytest.mark.parametrize("is_back", [True, False])
def test_until_in_the_history(make_hub, environ, arguments, is_back):
    """Whoever comes when all is done gets it all, and the end."""
    hub = make_hub(Paged())
    before = hub.position()
    for event in ("step", "step", "done", "step"):
        hub.publish("a", event, event=event)
    last = {"last_event_id": str(before)} if is_back else {}
    stream = opened(hub, environ=environ, until="done", **arguments, **last)
    assert ended(stream) == [*([] if is_back else [""]), "step", "step", "done"]
    stream.close()


def test_until_for_those_who_come_later(hub, runtime):
    """A client that has had the event, or that is new, waits for the next."""
    last = hub.publish("a", "done", event="done")
    streams = [opened(hub, until="done"), opened(hub, until="done", last_event_id=last)]
    assert data(streams[0], 1) == [""]
    for stream in streams:
        hub.publish("a", "again", event="done")
        assert ended(stream)[-1] == "again"
        stream.close()


def test_until_what_the_client_gets(hub, environ):
    """An event that is selected for others does not end this stream."""
    stream = opened(
        hub,
        environ=environ,
        until="done",
        match={"job": 1},
        filter=lambda event, key, meta: meta.get("n") != 1,
    )
    events(stream, 1)
    for job, n in ((2, 0), (1, 1), (1, 2)):
        hub.publish("a", f"{job} {n}", event="done", meta={"job": job, "n": n})
    assert ended(stream) == ["1 2"]
    stream.close()


def test_until_and_reconnect(hub, environ):
    """Like a generator's, the stream's end may be one after which the client comes back."""
    options = Options().replace({"reconnect": True})
    stream = opened(hub, environ=environ, until="done", options=options)
    events(stream, 1)
    hub.publish("a", "x", event="done")
    assert [event.data for event in read_events(stream)] == ["x"]
    stream.close()


def test_sender(hub, environ):
    """A client does not get its own events, whether missed, replayed or live; others do."""
    before = hub.position()

    def send(*texts):
        for text in texts:
            hub.publish("a", text, sender=text.partition(" ")[0] or None)

    send("ann 1", "bob 1", " 1")
    streams = [
        opened(hub, environ=environ, sender="ann", replay="all"),
        opened(hub, environ=environ, sender="ann", last_event_id=str(before)),
        opened(hub, environ=environ, sender="", replay="all"),
    ]
    got = [data(streams[0], 3), data(streams[1], 2), data(streams[2], 4)]
    send("ann 2", "bob 2", " 2")
    for stream, mine in zip(streams, got, strict=True):
        mine += data(stream, 3 if stream is streams[2] else 2)
        stream.close()
    others = ["bob 1", " 1", "bob 2", " 2"]
    everything = ["", "ann 1", "bob 1", " 1", "ann 2", "bob 2", " 2"]
    assert got == [["", *others], others, everything]


@pytest.mark.parametrize("sender", [7, b"ann", ["ann"]])
def test_unusable_sender(hub, sender):
    """It is text, at both ends."""
    with pytest.raises(ConfigurationError, match="sender must be text, not"):
        Selection.of(sender=sender)
    with pytest.raises(ConfigurationError, match="sender must be text, not"):
        hub.publish("a", "x", sender=sender)


def test_clients_without_a_name(hub, environ):
    """An empty name is nobody's: it hides nothing from others without one."""
    stream = opened(hub, environ=environ, sender="")
    events(stream, 1)
    hub.publish("a", "x", sender="")
    assert data(stream, 1) == ["x"]
    stream.close()


def test_own_event_does_not_end_the_stream(hub, environ):
    """What a client does not get ends nothing."""
    stream = opened(hub, environ=environ, sender="ann", until="done")
    events(stream, 1)
    hub.publish("a", "own", event="done", sender="ann")
    hub.publish("a", "other", event="done", sender="bob")
    assert ended(stream) == ["other"]
    stream.close()


@pytest.mark.parametrize("replay", [3, "all", "latest"])
def test_plain_streams(hub, environ, replay):
    """An API client gets the same events, and nothing of ours."""
    fill(hub, 3, channels="a")
    wanted = subscribed(hub, "a", replay=replay, until="done")
    stream = EventStream(wanted, dict(environ), plain=True)
    assert data(stream, 3) == ["0", "1", "2"]
    hub.publish("a", "3", event="done")
    assert b"".join(stream).partition(b"\n")[2] == b"event: done\ndata: 3\n\n"
    stream.close()
