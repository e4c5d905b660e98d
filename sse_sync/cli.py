"""
Publish an event, or listen to channels.

``python -m sse_sync`` takes the broker's URL; ``flask sse`` and ``manage.py sse_publish`` and
``sse_listen`` use the application's broker. All have the same arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from .channels.app import connect
from .channels.hub import Hub
from .channels.listening import listen
from .exceptions import SSEError
from .jsonable import Dumps

__all__ = ["add_listen_arguments", "add_publish_arguments", "main", "run", "run_listen"]
__all__ += ["run_publish"]


def add_publish_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command that publishes."""
    parser.add_argument("channel", help="channel to publish to")
    parser.add_argument("data", help="the event's data, or - for standard input")
    parser.add_argument("--json", action="store_true", help="check that the data is JSON")
    parser.add_argument("--event", metavar="TYPE", help="event type")
    parser.add_argument("--key", help="subject of the event, for filters and overflow policies")
    parser.add_argument("--meta", type=_json, metavar="JSON", help="object that filters see")
    parser.add_argument(
        "--token", help="skip publishing if this was used within the last ten minutes"
    )
    parser.add_argument(
        "--no-keep",
        dest="keep",
        action="store_false",
        help="do not store the event for reconnecting clients",
    )
    parser.add_argument(
        "--retry-for",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="keep trying for this long (at most 60) while the broker is unavailable",
    )


def run_publish(hub: Hub, given: argparse.Namespace, *, dumps: Dumps = json.dumps) -> None:
    """Publish one event, and print its id."""
    data = sys.stdin.read() if given.data == "-" else given.data
    if given.json:
        try:
            data = json.loads(data)
        except ValueError as exc:
            raise SystemExit(f"the data is not valid JSON: {exc}") from None
        if isinstance(data, str):
            data = dumps(data)  # Publish it as JSON, with its quotes.
    published = hub.publish(
        given.channel,
        data,
        event=given.event,
        key=given.key,
        meta=given.meta,
        token=given.token,
        keep=given.keep,
        retry_for=given.retry_for,
        dumps=dumps,
    )
    print(published)  # noqa: T201


def add_listen_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command that listens."""
    parser.add_argument("channels", nargs="+", metavar="channel", help="channel to listen to")
    parser.add_argument("--last-event-id", metavar="ID", help="resume after this event")
    parser.add_argument("--json", action="store_true", help="print a JSON object for each event")
    parser.add_argument("--count", type=int, metavar="N", help="stop after N events")


def run_listen(hub: Hub, given: argparse.Namespace) -> None:
    """Print the events of channels as they arrive, until interrupted."""
    left = given.count
    events = listen(hub, *given.channels, last_event_id=given.last_event_id, tell_degraded=True)
    for event in events:
        if given.json:
            names = ("id", "event", "data")
            line = json.dumps({name: getattr(event, name) for name in names}) + "\n"
        else:
            line = event.encode().decode()
        sys.stdout.write(line)
        sys.stdout.flush()
        # The library's own events do not count.
        if left is not None and not (event.event or "").startswith("stream-"):
            left -= 1
            if left <= 0:
                return


def run(command: Callable[[], object]) -> int:
    """Run a command, and return its exit status; our own errors print a line, no traceback."""
    try:
        command()
    except SSEError as exc:
        print(f"error: {exc}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has closed the pipe. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``python -m sse_sync``, with the process's arguments or others; return its status."""
    parser = argparse.ArgumentParser("python -m sse_sync", description=__doc__.strip())
    parser.add_argument(
        "--broker-url",
        default=os.environ.get("SSE_BROKER_URL"),
        metavar="URL",
        help="broker, such as redis://localhost; the default is the environment's SSE_BROKER_URL",
    )
    parser.add_argument("--channel-prefix", metavar="TEXT", help="prefix of the broker's keys")
    parser.add_argument("--history", type=int, metavar="N", help="events to keep per channel")
    parser.add_argument(
        "--history-age", type=float, metavar="SECONDS", help="how long to keep them"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="publish|listen")
    add_publish_arguments(commands.add_parser("publish", help="publish an event"))
    add_listen_arguments(commands.add_parser("listen", help="print events as they arrive"))
    given = parser.parse_args(arguments)
    if not given.broker_url:
        parser.error("no broker: give --broker-url or set SSE_BROKER_URL")
    if given.broker_url.startswith("memory:"):
        parser.error("memory:// reaches no other process")
    names = ("broker_url", "channel_prefix", "history", "history_age")
    options = {name: getattr(given, name) for name in names if getattr(given, name) is not None}

    def command() -> None:
        with connect(**options) as hub:
            (run_publish if given.command == "publish" else run_listen)(hub, given)

    return run(command)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"is not valid JSON: {exc}") from None
