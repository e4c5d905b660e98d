"""``flask sse publish`` and ``flask sse listen``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import click
import flask
from flask.cli import AppGroup

from .. import cli
from ..channels.hub import Hub
from .state import current_state

__all__ = ["commands"]

commands = AppGroup("sse", help="Publish events, and listen to channels.")

# The arguments are those of python -m sse_sync, which argparse parses; click passes them on.
_as_they_are: dict[str, Any] = {"ignore_unknown_options": True, "help_option_names": []}


def _command(
    name: str,
    help: str,
    declare: Callable[[argparse.ArgumentParser], None],
    perform: Callable[[Hub, argparse.Namespace], None],
) -> None:
    @commands.command(name, help=help, context_settings=_as_they_are)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: Sequence[str]) -> None:
        parser = argparse.ArgumentParser(f"flask sse {name}", description=help)
        declare(parser)
        given = parser.parse_args(arguments)
        status = cli.run(lambda: perform(current_state().app_hub.shared_hub(), given))
        if status:
            raise SystemExit(status)


def _publish(hub: Hub, given: argparse.Namespace) -> None:
    cli.run_publish(hub, given, dumps=flask.current_app.json.dumps)


_command("publish", "Publish an event.", cli.add_publish_arguments, _publish)
_command("listen", "Print events as they arrive.", cli.add_listen_arguments, cli.run_listen)
