"""The Django application."""

from __future__ import annotations

import logging
from contextlib import suppress
from traceback import walk_stack
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.signals import request_started
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch

from ..request import reconnects_by_itself
from ..streams.admission import admission
from ..streams.record import path_of
from ..streams.registry import registry
from ..views import report_page
from .checks import check_authorize, check_settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger("sse_sync")

__all__ = ["SSESyncConfig"]

REDIRECT_FIELD_NAME = "next"  # Of django.contrib.auth, whose models must not be imported here.


class SSESyncConfig(AppConfig):
    """Register the system checks."""

    name = "sse_sync.django"
    label = "sse_sync"
    verbose_name = "Server-Sent Events"

    def ready(self) -> None:
        """Register the checks, and log wrong settings, once Django has loaded its applications."""
        checks.register(check_settings)
        checks.register(check_authorize)
        if not _is_command():
            # A server, which runs no system checks; a command would tell everything twice.
            for message in check_settings():
                logger.error("%s", message.msg)
        request_started.connect(_tell_of_log_in)
        admission().prepare({}, registry())


def _is_command() -> bool:
    # Whether manage.py, whatever it is called, is loading the applications.
    callers = (frame.f_globals.get("__name__") for frame, _ in walk_stack(None))
    return "django.core.management" in callers


def _tell_of_log_in(environ: WSGIEnvironment | None = None, **kwargs: Any) -> None:
    # What login_required redirects has this in its query.
    if not environ or f"{REDIRECT_FIELD_NAME}=" not in environ.get("QUERY_STRING", ""):
        return
    if reconnects_by_itself(environ):
        page = path_of(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))
        with suppress(NoReverseMatch):  # As login_required would raise.
            if page == resolve_url(settings.LOGIN_URL).partition("?")[0]:
                report_page(page)
