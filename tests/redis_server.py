"""A real redis-server on a free port, with a folder of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

import redis

from tests.live.servers import free_port
from tests.waiting import wait_for


class RedisServer:
    """A context manager. It may be killed and started again on the same port and folder."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.options = options
        self.port = free_port()
        self.process = None

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self.kill()

    def command(self):
        return [
            *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--dir", str(self.folder), "--save", "", "--appendonly", "no"),
            *("--loglevel", "warning", *self.options),
        ]

    def start(self):
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL)
        wait_for(self._answers, "redis-server to start", 20)

    def _answers(self):
        with contextlib.suppress(redis.RedisError):
            return self.call("PING")

    def kill(self):
        """End it as a crash does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def pause(self):
        """Let it hang."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        """Let it go on."""
        os.kill(self.process.pid, signal.SIGCONT)

    def call(self, *command):
        """Send a command on a connection of its own."""
        with redis.Redis(port=self.port, socket_timeout=5) as client:
            return client.execute_command(*command)


class Sentinel(RedisServer):
    """A sentinel that watches a primary, and promotes its replica if it dies."""

    def __init__(self, folder, name, primary):
        super().__init__(folder)
        self.name = name
        self.primary = primary

    @property
    def url(self):
        return f"redis+sentinel://127.0.0.1:{self.port}/{self.name}"

    def command(self):
        configuration = self.folder / "sentinel.conf"
        configuration.write_text(
            f"port {self.port}\nbind 127.0.0.1\n"
            f"sentinel monitor {self.name} 127.0.0.1 {self.primary.port} 1\n"
            f"sentinel down-after-milliseconds {self.name} 500\n"
        )
        return ["redis-server", str(configuration), "--sentinel", "--loglevel", "warning"]


class RedisCluster:
    """
    A context manager: three primaries and a replica of each, on loopback.

    Args:
        folder: Where the nodes have their files.
        timeout: After how many milliseconds of silence a node counts as dead. On a busy machine one
            may be silent for a second.
    """

    def __init__(self, folder, timeout=10_000):
        self.nodes = []
        ports = [free_port() for _ in range(12)]
        for number in range(6):
            own = folder / f"node{number}"
            own.mkdir()
            options = [
                *("--cluster-enabled", "yes", "--cluster-node-timeout", str(timeout)),
                *("--cluster-port", str(ports.pop()), "--repl-diskless-sync-delay", "0"),
            ]
            node = RedisServer(own, *options)
            node.port = ports.pop()
            self.nodes.append(node)

    @property
    def url(self):
        return "redis+cluster://" + ",".join(f"127.0.0.1:{n.port}" for n in self.nodes[:3])

    @property
    def primaries(self):
        return self.nodes[:3]

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info):
        for node in self.nodes:
            node.kill()

    def _start(self):
        for node in self.nodes:
            node.start()
        bounds = [0, 5461, 10923, 16384]
        for node, start, stop in zip(self.primaries, bounds, bounds[1:], strict=False):
            node.call("CLUSTER ADDSLOTSRANGE", start, stop - 1)
        wait_for(self._have_met, "the nodes to know each other", 30)
        for replica, primary in zip(self.nodes[3:], self.primaries, strict=True):
            replica.call("CLUSTER REPLICATE", self._id(primary))
        self._wait(lambda node: node.call("CLUSTER INFO")["cluster_state"] == "ok")
        self._wait(
            lambda node: (
                node in self.primaries
                or node.call("INFO", "replication")["master_link_status"] == "up"
            )
        )

    def _have_met(self):
        if all(node.call("CLUSTER INFO")["cluster_known_nodes"] == "6" for node in self.nodes):
            return True
        # Repeatedly: a handshake that takes longer than the nodes' time-out is dropped.
        first, *others = self.nodes
        for node in others:
            bus = node.options[node.options.index("--cluster-port") + 1]
            first.call("CLUSTER MEET", "127.0.0.1", node.port, bus)
        time.sleep(0.5)
        return False

    def node_at(self, address):
        """Return the node at an address."""
        return next(node for node in self.nodes if node.port == address[1])

    def move_slot(self, key, address):
        """Move a key's slot to another primary, without its data."""
        source = self.node_at(address)
        target = next(node for node in self.primaries if node is not source)
        slot = source.call("CLUSTER KEYSLOT", key)
        for name in source.call("CLUSTER GETKEYSINSLOT", slot, 1000):
            source.call("DEL", name)
        # As a real resharding does, so that the new owner's claim is the later one.
        target.call("CLUSTER SETSLOT", slot, "IMPORTING", self._id(source))
        source.call("CLUSTER SETSLOT", slot, "MIGRATING", self._id(target))
        for node in (target, *(n for n in self.primaries if n is not target)):
            node.call("CLUSTER SETSLOT", slot, "NODE", self._id(target))

    def _id(self, node):
        identity = node.call("CLUSTER MYID")
        return identity.decode() if isinstance(identity, bytes) else identity

    def _wait(self, condition):
        wait_for(lambda: all(condition(node) for node in self.nodes), "the cluster", 30)
