"""
The Django application.

"""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from ..admission import admission
from ..registry import registry
from .checks import check_settings

__all__ = ["SSESyncConfig"]


class SSESyncConfig(AppConfig):
    """
    Register the system checks.

    """

    name = "sse_sync.django"
    label = "sse_sync"
    verbose_name = "Server-Sent Events"

    def ready(self) -> None:
        """
        Run when Django has loaded its applications.

        """
        checks.register(check_settings)
        admission().prepare({}, registry())
