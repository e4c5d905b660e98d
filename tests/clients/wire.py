"""A witness beside the clients: the bytes of a stream, and how its connection ended."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Wire:
    """What came over a connection."""

    head: str
    """Status line and headers."""
    body: bytes
    """The body, without the framing of its chunks."""
    is_clean: bool
    """Whether the last chunk came, which says that the body is complete."""


def read_wire(method: str, url: str, timeout: float, last_event_id: str = "") -> Wire:
    """
    Send a request, and read all that comes.

    Args:
        method: POST comes with an empty JSON object.
        url: Where to.
        timeout: Seconds without any bytes after which it gives up.
        last_event_id: Sent if it is not empty.
    """
    parts = urlsplit(url)
    content = "{}" if method == "POST" else ""
    lines = [f"{method} {parts.path} HTTP/1.1", "Host: localhost", "Accept: text/event-stream"]
    if content:
        lines.append(f"Content-Length: {len(content)}")
    if last_event_id:
        lines.append(f"Last-Event-ID: {last_event_id}")
    request = "\r\n".join((*lines, "", content))
    received = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=timeout) as sock:
        sock.sendall(request.encode())
        with contextlib.suppress(ConnectionResetError):
            while more := sock.recv(65536):
                received += more
    head, _, rest = received.partition(b"\r\n\r\n")
    return Wire(head.decode(), *_unchunked(rest))


def _unchunked(rest: bytes) -> tuple[bytes, bool]:
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return body, True
        body, rest = body + rest[:length], rest[length + 2 :]
    return body, False
