"""The hub of an application, and of a script."""

from types import SimpleNamespace

import pytest

from sse_sync import ConfigurationError
from sse_sync.channels.app import AppHub, connect, make_broker
from sse_sync.settings import Options
from tests.core.channels.reading import SERVED, opened
from tests.core.children import in_child
from tests.core.environs import of_bridges, of_test_clients


def test_fork(runtime):
    """In a child the hub starts afresh, without its parent's subscribers, locks or history."""
    hub = AppHub(Options()).hub()
    stream = opened(hub)
    next(stream)
    hub.publish("a", "x")
    epoch = hub.position().epoch

    def child():
        own = opened(hub)
        told = f"{hub.statistics().subscriptions} {hub.position().epoch != epoch}"
        own.close()
        return told

    with hub.dispatcher._asking:
        assert in_child(child) == "0 True"
    assert hub.statistics().subscriptions == 1
    stream.close()
    hub.close()


def test_memory_with_several_processes():
    """A broker that cannot reach the other workers is refused, not used silently."""
    options = Options()
    app_hub = AppHub(options, broker_setting="MY_URL")
    assert app_hub.expect({**SERVED, "wsgi.multiprocess": False}, options, user="ann") is not None
    assert app_hub.expect({"wsgi.multiprocess": True}, options, user="ann") is not None
    with pytest.raises(
        ConfigurationError, match=r"^MY_URL is memory://.* would stay in one of them"
    ):
        app_hub.expect({**SERVED, "wsgi.multiprocess": True}, options, user="ann")
    app_hub.hub().close()


def test_memory_with_an_unknown_number_of_processes(caplog):
    """Bridges always claim to be multi-process: that a broker may not reach all is logged once."""
    _, environ = of_bridges()["a2wsgi"]
    assert environ["wsgi.multiprocess"]
    options = Options()
    app_hub = AppHub(options)
    for _ in range(2):
        assert app_hub.expect(environ, options, user="ann") is not None
    (message,) = caplog.messages
    assert "a2wsgi does not tell whether it runs several" in message
    app_hub.hub().close()


@pytest.mark.parametrize(
    ("url", "workers", "is_warned"),
    [("memory://", 2, True), ("memory://", 1, False), ("redis://127.0.0.1:1", 2, False)],
)
def test_publishing_to_memory_beside_other_workers(monkeypatch, caplog, url, workers, is_warned):
    """A worker that only publishes gets no request to learn it from; the log says it once."""
    worker = SimpleNamespace(cfg=SimpleNamespace(workers=workers))
    monkeypatch.setattr("sse_sync.channels.app.find_worker", lambda: worker)
    app_hub = AppHub(Options(broker_url=url), broker_setting="MY_URL")
    for _ in range(2):
        hub = app_hub.hub()
    assert (
        "MY_URL is memory://, the default, which serves a single process, but gunicorn runs 2:"
        " only streams of this one get what is published here. Use redis://, or run one worker"
        in caplog.messages
    ) is is_warned
    assert len(caplog.messages) == is_warned
    hub.close()


@pytest.mark.parametrize("name", of_test_clients())
def test_memory_in_a_test(name, caplog):
    """A test client may claim to be multi-process; it is no server."""
    environ = {**of_test_clients()[name], "wsgi.multiprocess": True}
    app_hub = AppHub(Options())
    assert app_hub.expect(environ, Options(), user="ann") is not None
    assert caplog.messages == []
    app_hub.hub().close()


def test_unknown_broker():
    """For an unknown broker, the error lists the known ones."""
    with pytest.raises(ConfigurationError, match="names no broker: carrier-pigeon"):
        make_broker(Options(broker_url="carrier-pigeon://x"))
    with pytest.raises(ConfigurationError, match=r"^MY_URL names no broker"):
        AppHub(Options(broker_url="carrier-pigeon://x"), broker_setting="MY_URL").hub()
    with pytest.raises(ConfigurationError, match=r"^MY_URL is memory.* reaches no other process"):
        AppHub(Options(), broker_setting="MY_URL").shared_hub()


def test_connect():
    """A script gets its own hub, and a misspelt option is refused."""
    with connect("memory://", history=2, channel_histories={"x": (1, 5)}) as hub:
        hub.publish("a", {"b": 1})
    with pytest.raises(ConfigurationError, match="heartbeat is not an option of channels"):
        connect("memory://", heartbeat=5)
    with pytest.raises(ConfigurationError, match="HISTORY must be a positive whole number"):
        connect("memory://", history=0)
    with pytest.raises(ConfigurationError, match="names no broker: redsi; known are memory://"):
        connect("redsi://localhost")


@pytest.mark.parametrize("kept", [[], {"a": 5}, {"a": (1,)}, {1: (1, 1)}, {"a": (0, 1)}])
def test_bad_histories(kept):
    with pytest.raises(ConfigurationError, match="CHANNEL_HISTORIES must be"):
        connect("memory://", channel_histories=kept)
