"""
The client's socket, which a server shows in the WSGI environ; :mod:`sse_sync.server` tells where.

Where it is not shown, the library still streams, and logs once what does not work.
"""

from __future__ import annotations

import _socket
import ctypes
import functools
import logging
import os
import socket
import stat
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..server import UNKNOWN, Server, find_server

try:
    import fcntl
    import termios
except ImportError:
    _TELLS_QUEUE = False
else:
    _TELLS_QUEUE = True

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["ClientSocket", "drop_input", "find_client_socket", "is_acknowledged", "prepare"]
__all__ += ["reset_at_close"]
__all__ += ["reset"]

logger = logging.getLogger("sse_sync")


_ZERO = bytes(4)

# Bytes of unread input that are dropped at most.
MOST_INPUT = 1 << 20

# Keeps a connection from being released between reading its descriptor and duplicating it: the
# number might be another client's by then. Nothing blocks or switches greenlets while it is held.
_lock = threading.Lock()


class ClientSocket:
    """
    The client's connected socket, which belongs to the server.

    Args:
        fd: Its descriptor.
        owned: Whether the descriptor is a duplicate, which this object closes.
        can_break_off: Whether the body may end so that the client knows it is not complete.
        is_chunked: Whether the body is framed in chunks.
    """

    __slots__ = ("_owned", "can_break_off", "fd", "is_chunked")

    def __init__(
        self, fd: int, *, owned: bool = False, can_break_off: bool = False, is_chunked: bool = True
    ) -> None:
        self._owned = owned
        self.can_break_off = can_break_off
        """Whether the body may end so that the client knows it is not complete."""
        self.is_chunked = is_chunked
        """Whether the body is framed in chunks."""
        self.fd = fd
        """Descriptor, valid until the server closes the response; -1 after that."""

    def release(self) -> None:
        """Forget the socket, because the server is about to close it. Idempotent."""
        with _lock:
            fd, self.fd = self.fd, -1
        if self._owned and fd >= 0:
            os.close(fd)

    def prepare(self, write_timeout: float | None) -> None:
        """
        Send small writes at once, and detect a vanished peer.

        Args:
            write_timeout: Seconds after which unacknowledged data ends a TCP connection.
        """
        with self._duplicate() as sock:
            if sock is not None:
                prepare(sock, write_timeout)

    def is_idle(self) -> bool:
        """
        Return whether the peer has acknowledged everything, so a small write would not block. False
        if the system cannot tell.
        """
        return is_acknowledged(self.fd)

    def forget_error(self) -> None:
        """Clear the socket's pending error, so that the server's next write fails with EPIPE."""
        with self._duplicate() as sock:
            if sock is not None:
                sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def stop_reading(self) -> None:
        """
        Make the server read an end of file in place of the next request, and so close the
        connection.
        """
        self._shut_down(socket.SHUT_RD)

    def abort(self) -> None:
        """
        Make a blocked write and all later ones fail, without the end of a body. The server closes
        the socket.
        """
        if not self.is_chunked:
            self.reset()
        self._shut_down(socket.SHUT_RDWR)

    @contextmanager
    def _duplicate(self) -> Iterator[_socket.socket | None]:
        # A duplicate, because closing a socket object closes its descriptor. The C module's class,
        # because SSLSocket.shutdown() would end encryption, and gevent's sockets wait.
        try:
            with _lock:
                sock = _socket.socket(fileno=os.dup(self.fd))
        except OSError:
            yield None
            return
        try:
            yield sock
        finally:
            sock.close()

    def end_writing(self) -> None:
        """
        Make all later writes fail; the peer gets what was written before. See :func:`drop_input`.
        """
        with self._duplicate() as sock:
            if sock is not None:
                try:
                    sock.shutdown(socket.SHUT_WR)
                    drop_input(sock)
                except OSError:
                    pass  # The peer has already closed it.

    def reset(self) -> None:
        """Tell the peer that the body is not complete. What it has not acknowledged is lost."""
        with self._duplicate() as sock:
            if sock is not None:
                reset(sock)

    def _shut_down(self, how: int) -> None:
        with self._duplicate() as sock:
            if sock is not None:
                try:
                    sock.shutdown(how)
                except OSError:
                    pass  # The peer has already closed it.


def prepare(sock: _socket.socket, write_timeout: float | None) -> None:
    """
    Send a socket's small writes at once, and detect a vanished peer.

    Args:
        sock: The socket.
        write_timeout: Seconds after which unacknowledged data ends a TCP connection.
    """
    if sock.family == getattr(socket, "AF_UNIX", None):
        return
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if write_timeout is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            # Later than our own deadline, which fails a blocked write with EPIPE: servers ignore
            # EPIPE, but log a traceback for ETIMEDOUT.
            milliseconds = int(write_timeout * 1_000) + 1_000
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    except OSError:
        pass  # Already closed, or not TCP.


def is_acknowledged(fd: int) -> bool:
    """Return whether a socket's peer has acknowledged everything. False if nobody can tell."""
    if not _TELLS_QUEUE:
        return False
    try:
        waiting = fcntl.ioctl(fd, termios.TIOCOUTQ, _ZERO)
    except (OSError, ValueError):
        return False
    return waiting == _ZERO


def reset(sock: _socket.socket) -> None:
    """
    Send a TCP reset. Whoever owns the socket may still close it in any way.

    Closing it with SO_LINGER would not do, because some servers shut the connection down first,
    which looks like a complete body. connect(2): "TCP sockets [...] may dissolve the association by
    connecting to an address with the sa_family member of sockaddr set to AF_UNSPEC"; Linux then
    sends the reset (net/ipv4/tcp.c, tcp_disconnect).

    Args:
        sock: A TCP socket; others stay as they are.
    """
    if sock.family in (socket.AF_INET, socket.AF_INET6) and sys.platform == "linux":
        _libc().connect(sock.fileno(), bytes(16), 16)


def reset_at_close(sock: _socket.socket, wanted: bool) -> None:
    """
    Set whether closing a TCP socket resets the connection, also when the system closes it because
    the process has ended, however that came about. socket(7), SO_LINGER.

    Args:
        sock: A socket that nobody else has or shuts down.
        wanted: Whether it does. Then what the peer has not acknowledged by that time is lost.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", wanted, 0))
    except OSError:
        pass  # Already closed.


def drop_input(sock: _socket.socket) -> None:
    """
    Drop what a peer has sent, such as the rest of a request's body that the view has not read. With
    unread input, closing the socket resets the connection (RFC 1122, 4.2.2.13), and some systems
    then drop what has not been read at the other end.

    Args:
        sock: The socket.
    """
    try:
        for _ in range(MOST_INPUT // 65536):
            if not sock.recv(65536, socket.MSG_DONTWAIT):
                return
    except OSError:
        pass  # Everything is read, or the peer has closed the connection.


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def find_client_socket(environ: WSGIEnvironment) -> ClientSocket | None:
    """
    Return the client's socket, or :obj:`None` if the server does not show it. What does not work
    there is logged, once for each server.

    Args:
        environ: The request's WSGI environ.
    """
    server = find_server(environ)
    if server is None:
        return None  # A test client.
    client = None if server.fileno is None else _client_socket(server, environ)
    if client is None:
        _log_problem(server)
    return client


def _client_socket(server: Server, environ: WSGIEnvironment) -> ClientSocket | None:
    assert server.fileno is not None
    try:
        fd = server.fileno(environ)
        if fd >= 0 and stat.S_ISSOCK(os.fstat(fd).st_mode):
            if server.may_close_early:
                return ClientSocket(os.dup(fd), owned=True)
            is_chunked = environ.get("SERVER_PROTOCOL") != "HTTP/1.0"
            is_secure = environ.get("wsgi.url_scheme") == "https"
            can = server.can_break_off_tls if is_secure else server.can_break_off
            return ClientSocket(fd, can_break_off=can, is_chunked=is_chunked)
    except Exception:
        # Middleware may have replaced wsgi.input with an object that lacks these attributes.
        pass
    return None


# Of what a warning has been logged in this process.
_logged: set[str] = set()


def _log_problem(server: Server) -> None:
    if server.name not in _logged:
        _logged.add(server.name)
        logger.warning("event streams on %s: %s", server.name, server.problem or UNKNOWN.problem)
