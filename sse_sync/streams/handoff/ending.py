"""How the body of a handed-off connection ends: whole, or so that its client can tell."""

from __future__ import annotations

import _socket
from collections.abc import Callable

from ...runtime.reactor import Reactor
from ..client_socket import drop_input, is_acknowledged, reset_at_close
from ..dialect import LastWords
from .batch import framed

__all__ = ["close_after", "last_bytes"]

LAST_CHUNK = b"0\r\n\r\n"

# Seconds between two looks at whether a client has everything, as systems acknowledge within 40 ms;
# and until one without a write timeout is reset even so.
PAUSE, PATIENCE = 0.01, 60.0


def last_bytes(words: LastWords, chunked: bool) -> bytes:
    """
    Return the end of a body, as it is sent.

    Args:
        words: How it ends.
        chunked: Whether it is framed in HTTP/1.1 chunks (RFC 9112, 7.1).
    """
    data = framed(words.text, chunked) if words.text else b""
    return data + LAST_CHUNK if words.is_clean and chunked else data


def close_after(
    words: LastWords,
    sock: _socket.socket,
    chunked: bool,
    reactor: Reactor,
    patience: float | None,
    close: Callable[[], object],
) -> None:
    """
    Close a connection whose last bytes have been given to the system.

    Args:
        words: How its body has ended.
        sock: The connection; without chunks, one that is reset when it is closed.
        chunked: Whether it is framed in HTTP/1.1 chunks.
        reactor: Keeps the time.
        patience: Seconds that the client may take to receive them.
        close: Closes it, soon or at once.
    """
    if words.is_clean or chunked:
        reset_at_close(sock, False)
        drop_input(sock)
        close()
        return
    deadline = reactor.clock() + (patience or PATIENCE)

    def look(now: float) -> float | None:
        # A reset takes back what the client's system has not acknowledged.
        if sock.fileno() < 0:
            return None  # It is closed already.
        if now < deadline and not is_acknowledged(sock.fileno()):
            return now + PAUSE
        close()
        return None

    reactor.call_at(reactor.clock(), look)
