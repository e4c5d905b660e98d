"""Fixtures of the core suite: one process, seconds, any order, and nothing left behind."""

import gc

import pytest
from hypothesis import settings

from tests.core.examples import EXAMPLES

settings.register_profile("core", max_examples=EXAMPLES, deadline=None)
settings.load_profile("core")


@pytest.fixture(scope="session", autouse=True)
def quick_collections():
    """Some tests collect garbage, which need not search all of pytest each time."""
    gc.collect()
    gc.freeze()
