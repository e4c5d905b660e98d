"""What may be a source, and what is not one."""

import inspect

import pytest

from sse_sync import SourceError
from sse_sync.streams.source import discard, is_source, iterate, where_is


def generator():
    """A generator."""
    yield 1


async def async_generator():
    """An asynchronous generator."""
    yield 1


async def coroutine():
    """A view that is asynchronous by mistake."""


class AsyncStream:
    """As an API client returns: it can be iterated and closed."""

    def __init__(self):
        self.closed = False

    def __aiter__(self):
        return async_generator()

    async def __anext__(self):
        raise StopAsyncIteration

    async def close(self):
        self.closed = True


class AsyncList:
    """An asynchronous iterable."""

    def __aiter__(self):
        return async_generator()


def test_iterate():
    """Iterators are taken as they are, and of other iterables one is made."""
    for iterator in (generator(), async_generator(), AsyncStream()):
        assert iterate(iterator) is iterator
        assert is_source(iterator)
    assert list(iterate([1, 2])) == [1, 2]
    assert inspect.isasyncgen(iterate(AsyncList()))
    assert not is_source([1, 2])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("text", "'str' object is not a source of events: yield it from a generator"),
        (generator, "function 'generator' is not a source of events: call it"),
        (async_generator, "function 'async_generator' is not a source of events: call it"),
        (5, "'int' object is not a source of events: give a generator"),
    ],
)
def test_not_a_source(source, message):
    """Whatever is no source is refused with its name and with advice."""
    with pytest.raises(SourceError) as caught:
        iterate(source)
    assert str(caught.value).startswith(message)


def test_coroutine():
    """A coroutine is refused, and does not complain later that nobody awaited it."""
    given = coroutine()
    with pytest.raises(SourceError, match="coroutine 'coroutine' is not a source of events: yield"):
        iterate(given)
    assert inspect.getcoroutinestate(given) == "CORO_CLOSED"


def test_where_is():
    """A source is found by its name and line, whether it is asynchronous or not."""
    for function in (generator, async_generator):
        line = function.__code__.co_firstlineno
        assert where_is(function()) == f"{function.__name__} at {__file__}:{line}"
    assert where_is(iter([])) == "list_iterator"


def test_discard(runtime):
    """What will never be iterated is closed, and only if it has something to close."""
    unused, stream = generator(), AsyncStream()
    discard(unused)
    assert inspect.getgeneratorstate(unused) == "GEN_CLOSED"
    discard(iter([]))
    discard(async_generator())
    discard(stream)
    runtime.run_ready()
    assert stream.closed


def test_response():
    """What a decorated function returns is a response: the generator itself is wanted."""

    class Response:
        status_code = 200

        def __iter__(self):
            return iter("a")

    with pytest.raises(SourceError, match="pass the generator itself, without @event_stream"):
        iterate(Response())
