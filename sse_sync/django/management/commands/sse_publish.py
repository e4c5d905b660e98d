"""``manage.py sse_publish``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from .... import cli
from ...app import app_hub, dumps

__all__ = ["Command"]


class Command(BaseCommand):
    """Publish an event."""

    help = "Publish an event."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        cli.add_publish_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it."""
        given = argparse.Namespace(**options)
        status = cli.run(lambda: cli.run_publish(app_hub().shared_hub(), given, dumps=dumps))
        if status:
            sys.exit(status)
