"""``manage.py sse_listen``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from .... import cli
from ...app import app_hub

__all__ = ["Command"]


class Command(BaseCommand):
    """Print events as they arrive."""

    help = "Print events as they arrive."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        cli.add_listen_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it."""
        given = argparse.Namespace(**options)
        status = cli.run(lambda: cli.run_listen(app_hub().shared_hub(), given))
        if status:
            sys.exit(status)
