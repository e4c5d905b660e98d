"""Fixtures of the unit tests."""

import pytest

from sse_sync.streams import admission, drain, registry
from sse_sync.testing import FakeRuntime


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch):
    """A registry and an admission as at the start of a process."""
    monkeypatch.setattr(registry, "_registry", registry.Registry())
    monkeypatch.setattr(admission, "_admission", admission.Admission())
    monkeypatch.setattr(drain, "_drain", drain.Drain())


@pytest.fixture
def runtime(monkeypatch):
    """A runtime with a fake clock."""
    runtime = FakeRuntime()
    monkeypatch.setattr("sse_sync.runtime.current", lambda: runtime)
    return runtime
