"""What a fan-out writes, and how it is framed."""

import pytest

from sse_sync.brokers.base import Message, Position
from sse_sync.streams.handoff.batch import Batch, framed, goodbye, one_by_one


@pytest.mark.parametrize("size", [1, 9, 10, 15, 16, 255, 256, 65_536])
def test_chunk(size):
    """A chunk is its length in hexadecimal digits, a line end, the bytes and a line end."""
    frame = framed(b"x" * size, chunked=True)
    length, rest = frame.split(b"\r\n", 1)
    assert int(length, 16) == size
    assert rest == b"x" * size + b"\r\n"


def test_line_ends_inside():
    """What is inside a chunk is not looked at."""
    assert framed(b"\r\n0\r\n\r\n", chunked=True) == b"7\r\n\r\n0\r\n\r\n\r\n"


def test_unframed():
    """A response that ends with its connection has no chunks."""
    body = b"data: x\n\n"
    assert framed(body, chunked=False) is body


def test_ordinary_batch():
    """Unless it says so, a batch is neither a reset nor a heartbeat."""
    batch = Batch(b"x", [], iter(()))
    assert (batch.is_reset, batch.is_heartbeat) == (False, False)


class Recipient:
    """Records what is done to it."""

    def __init__(self, error=None):
        self.error = error
        self.done = []

    def finish(self, number):
        self.done.append(number)
        if self.error is not None:
            raise self.error

    def say_goodbye(self):
        self.finish("goodbye")

    def passed_over(self, size):
        self.done.append(f"passed over {size}")

    def broke(self):
        self.done.append("broke")


def test_one_by_one():
    """Each recipient is finished once it has been written to, whatever happens to others."""
    everybody = {Recipient(OSError()): None, Recipient(): "ann", Recipient(): "bob"}
    message = Message("a", Position("e", 7), b"", sender="ann")
    written = list(one_by_one(everybody, message, 9, is_last=True))
    failing, own, other = everybody
    assert written == [failing, other]
    assert [each.done for each in everybody] == [[7, "broke"], ["passed over 9"], [7]]
    assert list(one_by_one({own: None}, message, 9, is_last=False)) == [own]
    assert own.done == ["passed over 9"]


def test_goodbye():
    """A connection says goodbye when it is the turn of its batch; nothing is written to anybody."""
    one, failing = Recipient(), Recipient(OSError())
    batches = [goodbye(one), goodbye(failing)]
    assert one.done == failing.done == []
    assert [list(batch) for batch in batches] == [[], []]
    assert (one.done, failing.done) == (["goodbye"], ["goodbye", "broke"])
