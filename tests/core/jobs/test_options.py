"""What may be said of a job."""

import pytest

from sse_sync.brokers.jobs import JobTerms
from sse_sync.exceptions import ConfigurationError
from sse_sync.jobs.options import terms_of


def test_defaults():
    """An hour to run, an hour to be read, 8 MiB."""
    assert terms_of({}) == (JobTerms(3600.0, 8 << 20, None, None), 3600.0)


def test_given():
    """Everything can be said otherwise."""
    terms = JobTerms(5, 100, 2.5, {"a": 1})
    given = {"keep_for": 5, "max_bytes": 100, "stop_when_alone": 2.5, "meta": {"a": 1}}
    assert terms_of({**given, "max_seconds": None}) == (terms, None)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"keep_for": None}, "keep_for must be seconds, up to 30 days, not None"),
        ({"keep_for": 0}, "keep_for must be seconds"),
        ({"max_seconds": True}, "max_seconds must be seconds"),
        ({"max_seconds": 10**8}, "max_seconds must be seconds"),
        ({"stop_when_alone": "5"}, "stop_when_alone must be seconds"),
        ({"max_bytes": 0}, "max_bytes must be a positive whole number, not 0"),
        ({"max_bytes": None}, "max_bytes must be"),
        ({"on_finish": 7}, "on_finish must be a function, not 7"),
        ({"lifetime": 5}, "lifetime is not an option of a job; known are keep_for, max_bytes"),
        ({"meta": object()}, "meta cannot be written as JSON"),
    ],
)
def test_mistakes(options, problem):
    """Whatever is unusable is named."""
    with pytest.raises(ConfigurationError) as caught:
        terms_of(options)
    assert str(caught.value).startswith(problem)
