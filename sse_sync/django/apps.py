"""The Django application."""

from __future__ import annotations

import logging
import sys

from django.apps import AppConfig
from django.core import checks

from ..streams.admission import admission
from ..streams.registry import registry
from .checks import check_authorize, check_settings

logger = logging.getLogger("sse_sync")

__all__ = ["SSESyncConfig"]


class SSESyncConfig(AppConfig):
    """Register the system checks."""

    name = "sse_sync.django"
    label = "sse_sync"
    verbose_name = "Server-Sent Events"

    def ready(self) -> None:
        """Register the checks, and log wrong settings, once Django has loaded its applications."""
        checks.register(check_settings)
        checks.register(check_authorize)
        if "django.core.management" not in sys.modules:
            # A server, which runs no system checks; a command would tell everything twice.
            for message in check_settings():
                logger.error("%s", message.msg)
        admission().prepare({}, registry())
