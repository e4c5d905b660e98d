"""
Find Redis: one server, the cluster node that holds our keys, or the primary that sentinels name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ...exceptions import ConfigurationError
from ...runtime.process import Clock, monotonic
from . import scripts as scripts

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.connection import parse_url
    from redis.crc import key_slot
    from redis.retry import Retry
    from redis.sentinel import Sentinel
except ModuleNotFoundError as exc:
    if (exc.name or "").split(".")[0] != "redis":
        raise
    raise ModuleNotFoundError(
        'redis-py is not installed: pip install "sse-sync[redis]"', name="redis"
    ) from None

# With redis-py itself, so that only this module has to explain its absence.
__all__ = ["TIMEOUT", "Node", "Topology", "redis"]

# Seconds that one command may take, so that no worker blocks for long when Redis is unavailable.
TIMEOUT = 2.0
# Connections of one process, apart from the listener's own.
CONNECTIONS = 8
# Seconds between a failed search and the next one; meanwhile the same error is raised.
SEARCH_PAUSE = 0.5
# Seconds after which a search asks no further node; the current one may still take its time.
SEARCH = 4.0

Address = tuple[str, int]

# Connection options that also apply to sentinels.
_TO_SENTINELS = ("socket_", "ssl_", "retry")

# Errors after which another node has to be asked.
_MISPLACED: tuple[type[Exception], ...] = (
    redis.ConnectionError,
    redis.exceptions.MovedError,
    redis.exceptions.AskError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.ReadOnlyError,
)
# The same, but the command may have run: a server that hangs may have been replaced.
_DOUBTFUL: tuple[type[Exception], ...] = (*_MISPLACED, redis.TimeoutError)


class Node:
    """
    One Redis server.

    Args:
        address: Its address; :obj:`None` if the options have it.
        options: Arguments of redis-py's connections.
    """

    def __init__(self, address: Address | None, options: dict[str, Any]) -> None:
        self.address = address
        where = {} if address is None else {"host": address[0], "port": address[1]}
        given = {"max_connections": CONNECTIONS, "timeout": TIMEOUT, **options, **where}
        self.pool = redis.BlockingConnectionPool(**given)
        # The listener's own: one is subscribed, and one sends commands.
        self.own_pool = redis.BlockingConnectionPool(**{**given, "max_connections": 2})
        client = redis.Redis(connection_pool=self.pool)
        self.publish = client.register_script(scripts.PUBLISH)
        self.position = client.register_script(scripts.POSITION)
        own = redis.Redis(connection_pool=self.own_pool)
        self.own_position = own.register_script(scripts.POSITION)
        self.history = client.register_script(scripts.HISTORY)
        self._client = client
        self._scripts: dict[str, Callable[..., Any]] = {}

    def run(self, script: str, keys: list[Any], args: list[Any]) -> Any:
        """
        Run a script.

        Args:
            script: Its text.
            keys: Its keys.
            args: Its other arguments.
        """
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = self._client.register_script(script)
        return known(keys=keys, args=args)


class Topology:
    """
    Find the server that holds our keys, and find it again when it has moved.

    All keys have the same hash tag, so on a cluster they are on one node.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://`` as redis-py reads them;
            ``redis+cluster://host:port,host:port`` with some of a cluster's nodes;
            ``redis+sentinel://host:port,host:port/name/db`` with sentinels and the name of the
            primary that they watch, and ``?sentinel_username=…&sentinel_password=…`` if they
            require a login of their own. ``rediss+…`` for TLS.
        key: Any of our keys.
        clock: Returns the time.

    Raises:
        ConfigurationError: If the URL is unusable.
    """

    def __init__(self, url: str, key: str, *, clock: Clock = monotonic) -> None:
        try:
            scheme, _, kind = urlsplit(url).scheme.partition("+")
        except ValueError:
            raise ConfigurationError("broker_url", "is not a valid URL") from None
        self.name = _without_password(url)
        """The URL without secrets."""
        self.is_cluster = kind == "cluster"
        """Whether to use sharded pub/sub."""
        self._clock = clock
        self._key = key
        self._secure = scheme == "rediss"
        self._addresses, self._service, plain = _split(url, scheme, kind)
        try:
            given = parse_url(plain)
        except ValueError:
            # The original message might quote a part of the password.
            raise ConfigurationError(
                "broker_url",
                "cannot be parsed; in a password, write / # ? @ as %2F %23 %3F %40",
            ) from None
        if "decode_responses" in given:
            raise ConfigurationError(
                "broker_url", "must not set decode_responses: events are bytes"
            )
        self._login = {
            name: given.pop(f"sentinel_{name}")
            for name in ("username", "password")
            if f"sentinel_{name}" in given
        }
        self.database = int(given.get("db") or 0)
        """Number of the database."""
        self._options = {
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
            # The store retries commands, because it can ask another node.
            "retry": Retry(NoBackoff(), 0),
            **given,
        }
        self._find: Callable[[], Address | None] = {
            "": lambda: None,
            "cluster": self._find_in_cluster,
            "sentinel": self._ask_sentinels,
        }[kind]
        self._searching = threading.Lock()
        self._node: Node | None = None
        self._doubted = False
        self._failure: tuple[float, redis.RedisError] | None = None

    def current(self) -> Node:
        """
        Return the server that holds our keys.

        Raises:
            redis.RedisError: If it cannot be found now.
        """
        node = self._node
        if node is not None and not self._doubted:
            return node
        if not self._searching.acquire(timeout=2 * TIMEOUT):
            raise redis.ConnectionError("timed out while another thread looked for the node")
        try:
            if self._node is None or self._doubted:
                self._search()
            assert self._node is not None
            return self._node
        finally:
            self._searching.release()

    @contextmanager
    def noticing(self) -> Iterator[Node]:
        """
        Yield the current server, and search again next time if it turns out to be the wrong one.
        """
        node = self.current()
        try:
            with _redirections():
                yield node
        except _DOUBTFUL as exc:
            if "No connection available" in str(exc):
                raise  # Our own pool is exhausted, which says nothing about the node.
            if isinstance(exc, redis.exceptions.MovedError) and exc.host:
                # Ask this one first: others, above all replicas, may not know it yet.
                new = str(exc.host), int(exc.port)
                self._addresses = list(dict.fromkeys([new, *self._addresses]))
            if node is self._node:
                self._doubted = True
            raise

    def is_another_try_worth_it(self, error: BaseException | None) -> bool:
        """Return whether a command that failed with this error may succeed if retried at once."""
        return isinstance(error, _MISPLACED) and "No connection available" not in str(error)

    def close(self) -> None:
        """Close all connections. Idempotent."""
        if self._node is not None:
            self._node.pool.disconnect()
            self._node.own_pool.disconnect()

    def _search(self) -> None:
        if self._failure is not None and self._clock() < self._failure[0] + SEARCH_PAUSE:
            raise self._failure[1]
        try:
            address = self._find()
        except redis.RedisError as exc:
            self._failure = self._clock(), exc
            raise
        self._failure = None
        if self._node is None or address != self._node.address:
            # Connections to the previous one close when they are no longer used.
            self._node = Node(address, self._options)
        self._doubted = False

    def _find_in_cluster(self) -> Address:
        error: redis.RedisError | None = None
        deadline = self._clock() + SEARCH
        for address in list(self._addresses):
            try:
                found = self._primary(self._slots(address), address)
            except redis.RedisError as exc:
                error = exc
                if self._clock() > deadline:
                    break
                continue
            # Ask it last next time: its answer may be out of date.
            self._addresses.remove(address)
            self._addresses.append(address)
            return found
        raise error or redis.ConnectionError("no node of the cluster is known")

    def _slots(self, address: Address) -> list[Any]:
        where = {"host": address[0], "port": address[1]}
        pool = redis.ConnectionPool(**{**self._options, **where})
        try:
            # As separate arguments, so that redis-py returns the raw answer.
            answer: list[Any] = redis.Redis(connection_pool=pool).execute_command(
                "CLUSTER", "SLOTS"
            )
            return answer
        finally:
            pool.disconnect()

    def _primary(self, slots: list[Any], asked: Address) -> Address:
        slot = key_slot(self._key.encode())
        found: Address | None = None
        known = []
        for first, last, primary, *replicas in slots:
            addresses = [_address(node, asked) for node in (primary, *replicas)]
            known += addresses
            if first <= slot <= last:
                found = addresses[0]
        if found is None:
            raise redis.exceptions.ClusterDownError("no node of the cluster holds our keys")
        # The node that holds our keys last: it is the one most likely to be gone.
        known.sort(key=lambda address: address == found)
        self._addresses = list(dict.fromkeys([*known, *self._addresses]))
        return found

    def _ask_sentinels(self) -> Address:
        options = {k: v for k, v in self._options.items() if k.startswith(_TO_SENTINELS)}
        options.update(self._login, ssl=self._secure)
        # For connections to the sentinels: by default, redis-py leaves out TLS.
        sentinel = Sentinel(self._addresses, sentinel_kwargs=options)
        host, port = sentinel.discover_master(self._service)
        return str(host), int(port)


@contextmanager
def _redirections() -> Iterator[None]:
    # Before 5.1, redis-py recognises these answers of cluster nodes only in its cluster client.
    try:
        yield
    except redis.ResponseError as exc:
        word, _, rest = str(exc).partition(" ")
        kind = _REDIRECTIONS.get(word)
        if kind is None or type(exc) is not redis.ResponseError:
            raise
        raise kind(rest) from exc


_REDIRECTIONS: dict[str, type[redis.RedisError]] = {
    "MOVED": redis.exceptions.MovedError,
    "ASK": redis.exceptions.AskError,
    "CLUSTERDOWN": redis.exceptions.ClusterDownError,
}


def _address(node: Any, asked: Address) -> Address:
    # A node that does not know its own name leaves it out (Redis's CLUSTER SLOTS).
    host = node[0].decode() if isinstance(node[0], bytes) else node[0]
    return host or asked[0], int(node[1])


def _split(url: str, scheme: str, kind: str) -> tuple[list[Address], str, str]:
    # The addresses, the name that sentinels know, and the URL of the first address for redis-py.
    parts = urlsplit(url)
    if kind == "":
        return [], "", url
    credentials, _, hosts = parts.netloc.rpartition("@")
    addresses = [_host_and_port(each, kind) for each in hosts.split(",")]
    service, _, database = parts.path.strip("/").partition("/")
    if kind == "sentinel" and not service:
        raise ConfigurationError(
            "broker_url", "must end in the name that the sentinels watch: …/name"
        )
    if kind == "cluster" and (service or "db" in parse_qs(parts.query)):
        raise ConfigurationError("broker_url", "names a database, but a cluster has only one")
    host, port = addresses[0]
    login = f"{credentials}@" if credentials else ""
    query = f"?{parts.query}" if parts.query else ""
    return addresses, service, f"{scheme}://{login}{host}:{port}/{database}{query}"


def _host_and_port(text: str, kind: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, "26379" if kind == "sentinel" else "6379"
    if not host or not port.isdigit():
        raise ConfigurationError("broker_url", f"must list host:port, not {text!r}")
    return host, int(port)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
