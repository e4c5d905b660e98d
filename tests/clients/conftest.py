"""Mark everything here as live."""

import pytest


def pytest_collection_modifyitems(items):
    """Mark everything here as live."""
    for item in items:
        if "tests/clients/" in str(item.path):
            item.add_marker(pytest.mark.live)
