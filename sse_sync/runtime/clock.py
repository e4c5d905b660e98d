"""
Time as a parameter.

Everything that waits takes a :data:`Clock`, so that tests can control it.

"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Clock", "monotonic"]

Clock = Callable[[], float]
"""Returns seconds, which never run backwards."""

monotonic: Clock = time.monotonic
"""The clock of the operating system."""
