"""Fixtures of the unit tests."""

import pytest

from sse_sync.server import UNKNOWN
from sse_sync.streams import admission, client_socket, drain, registry
from sse_sync.testing import FakeRuntime

# A failed assertion there shows its values, too.
pytest.register_assert_rewrite(
    "tests.core.brokers.broker_contract",
    "tests.core.brokers.presence_contract",
    "tests.fronts.front_contract",
)


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch):
    """A registry and an admission as at the start of a process. That the server is unknown, as in
    most tests, has been logged.
    """
    monkeypatch.setattr(registry, "_registry", registry.Registry())
    monkeypatch.setattr(admission, "_admission", admission.Admission())
    monkeypatch.setattr(drain, "_drain", drain.Drain())
    monkeypatch.setattr(client_socket, "_logged", {UNKNOWN.name})


class EndingRuntime(FakeRuntime):
    """A fake runtime that can end its tasks, which are threads."""

    def __init__(self):
        super().__init__()
        self.running = {}

    def spawn(self, function, name):
        number = object()

        def run():
            try:
                function()
            except self.Interrupt:
                pass  # Ended here, or killed by a test.
            finally:
                del self.running[number]

        task = self.running[number] = super().spawn(run, name)
        return task

    def end_tasks(self):
        """End what still waits, as at the end of a process."""
        self.can_interrupt = True
        self.run_ready()
        for task in list(self.running.values()):
            task.interrupt(lambda: True)
        self.run_ready()


@pytest.fixture
def runtime(monkeypatch):
    """A runtime with a fake clock."""
    runtime = EndingRuntime()
    monkeypatch.setattr("sse_sync.runtime.current", lambda: runtime)
    yield runtime
    runtime.end_tasks()
