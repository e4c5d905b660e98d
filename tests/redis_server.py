"""A real redis-server on a free port, with a folder of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

import redis

from tests.live.servers import free_port


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

    def start(self):
        """Start it, and wait until it answers."""
        command = [
            *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--dir", str(self.folder), "--save", "", "--appendonly", "no"),
            *("--loglevel", "warning", *self.options),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError):
                self.call("PING")
                return
            time.sleep(0.02)
        raise AssertionError("redis-server did not start")

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
