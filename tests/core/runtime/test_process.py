"""What a fork renews."""

from sse_sync.runtime import process
from tests.core.children import in_child


def test_after_fork(monkeypatch):
    """Functions are called in a child, in order, even after one has failed; not in the parent."""
    monkeypatch.setattr(process, "_after_fork", [])
    called = []
    process.after_fork(lambda: called.append("one"))
    process.after_fork(lambda: 1 / 0)
    process.after_fork(lambda: called.append("two"))
    assert in_child(lambda: " ".join(called)) == "one two"
    assert called == []
