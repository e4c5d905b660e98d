"""What a job may be called."""

import uuid

import pytest

from sse_sync.brokers.jobs import JobName
from sse_sync.exceptions import ConfigurationError
from sse_sync.jobs.status import job_name


def test_names():
    """Users do not share names."""
    assert job_name("a", None) == JobName("a", "")
    assert job_name("a", 7) == JobName("a", "7")
    number = uuid.uuid4()
    assert job_name("a", number) == JobName("a", str(number))


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb", 7, None, b"a"])
def test_unusable_keys(key):
    """A key is short printable text."""
    with pytest.raises(ConfigurationError, match="key must be text of 1 to 200 printable"):
        job_name(key, None)


@pytest.mark.parametrize("user", ["", "a\nb", 1.5])
def test_unusable_users(user):
    """A user is what it is everywhere."""
    with pytest.raises(ConfigurationError, match="user must"):
        job_name("a", user)
