"""What is called around a stream."""

import contextvars
import weakref

import pytest

from sse_sync import CloseReason, statistics
from sse_sync.streams.hooks import Hooks
from tests.core.streams.served import END, PREAMBLE, SERVED, served


def test_hooks(runtime):
    """Hooks run in order; those for a server only with a server."""
    for environ, expected in [
        (SERVED, ["before", "source", "after_source", "finished", "after"]),
        ({}, ["source", "finished", "after"]),
    ]:
        seen = []

        def source(seen=seen):
            seen.append("source")
            yield "a"

        stream = served(
            source(),
            environ,
            before=lambda seen=seen: seen.append("before"),
            after_source=lambda seen=seen: seen.append("after_source"),
            on_close=lambda reason, seen=seen: seen.append(reason.value),
            after=lambda error, seen=seen: seen.append("after"),
        )
        list(stream)
        stream.close()
        assert seen == expected


def test_failing_release(runtime, caplog):
    """A failing release is logged, and the stream begins anyway."""

    def fail():
        raise ZeroDivisionError

    assert list(served(["a"], before=fail)) == [PREAMBLE, b"data: a\n\n", END]
    assert "releasing the view's resources failed" in caplog.text


def test_failing_hooks(environ, caplog):
    """A failing hook is logged, and everything is still released."""
    seen = []

    def fail(*args):
        raise ValueError("hook")

    def after(error):
        seen.append("after")
        raise ValueError("hook")

    stream = served(["a"], environ, on_close=fail, after_source=fail, after=after)
    assert list(stream)[-1] == END
    stream.close()
    assert seen == ["after"]
    assert statistics().open == statistics().lingering == 0
    assert [r for r in caplog.records if r.exc_info]


def test_context(environ):
    """The source sees the context variables of where the stream was created, and keeps its own."""
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("view")

    def source():
        yield variable.get()
        variable.set("generator")
        yield variable.get()

    stream = served(source(), environ, context=contextvars.copy_context())
    variable.set("elsewhere")
    assert list(stream)[1:3] == [b"data: view\n\n", b"data: generator\n\n"]
    assert variable.get() == "elsewhere"


@pytest.fixture
def variable():
    """A context variable."""
    return contextvars.ContextVar("variable", default="unset")


def test_context_of_the_callbacks(variable):
    """Callbacks see the view's context variables, and on_close cannot change them."""
    variable.set("view")
    seen = []
    hooks = Hooks(
        before=lambda: seen.append(variable.get()),
        on_close=lambda reason: seen.append((variable.get(), variable.set("changed"))[0]),
    )
    variable.set("elsewhere")
    hooks.call_before()
    hooks.call_on_close(CloseReason.FINISHED)
    hooks.call_before()
    assert seen == ["view"] * 3
    assert variable.get() == "elsewhere"


def test_on_close_while_the_source_runs(variable):
    """A source that still runs in the context does not keep on_close from being called."""
    seen = []
    hooks = Hooks(on_close=seen.append)
    hooks.context.run(hooks.call_on_close, CloseReason.CLIENT_GONE)
    assert seen == [CloseReason.CLIENT_GONE]


def test_nothing_to_call(caplog):
    """Every callback may be missing."""
    hooks = Hooks()
    hooks.call_before()
    hooks.call_after_source()
    hooks.call_on_close(CloseReason.FINISHED)
    hooks.call_after(None)
    assert caplog.messages == []


def test_teardown_forgets_the_request(variable):
    """The teardown is called once, with what the source raised, and nothing leads back from it."""

    class Request:
        """An object with weak references."""

    request, seen = Request(), []
    kept = weakref.ref(request)
    variable.set(request)

    def callback(*args, request=request):
        seen.append(args)

    hooks = Hooks(before=callback, after_source=callback, on_close=callback, after=callback)
    variable.set("elsewhere")
    error = ZeroDivisionError()
    hooks.call_after(error)
    hooks.call_after(None)
    assert seen == [(error,)]
    del request, callback
    assert kept() is None


def test_failing_callbacks(caplog):
    """Each failure is logged with what happens next, and none is raised."""
    hooks = Hooks(before=lambda: 1 / 0, on_close=lambda reason: 1 / 0, after=lambda error: 1 / 0)
    hooks.call_before()
    hooks.call_on_close(CloseReason.FAILED)
    hooks.call_after(None)
    assert caplog.messages == [
        "releasing the view's resources failed; the stream goes on",
        "the on_close callback failed",
        "the teardown callback of a stream failed",
    ]
    assert all(record.exc_info for record in caplog.records)
