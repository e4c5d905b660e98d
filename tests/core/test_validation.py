"""What an option may be."""

import pytest

from sse_sync.validation import count, is_number, is_whole, or_none


@pytest.mark.parametrize(
    ("value", "whole", "number"),
    [(1, True, True), (1.0, False, True), (True, False, False), ("1", False, False)],
)
def test_numbers(value, whole, number):
    """True and False are no numbers, although Python counts with them."""
    assert (is_whole(value), is_number(value)) == (whole, number)


def test_or_none():
    """None passes, and an error says what None would mean."""
    limit = or_none(count, "None for no limit")
    assert limit(None) is None
    assert limit(7) == 7
    with pytest.raises(ValueError, match=r"^a positive whole number, or None for no limit$"):
        limit(0)
