"""What a fan-out writes, and how it is framed."""

import pytest

from sse_sync.streams.handoff.batch import Batch, framed


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
