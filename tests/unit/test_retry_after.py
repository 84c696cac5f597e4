"""Retry-After in all its forms, and in none."""

from datetime import UTC, datetime

import pytest

from gatewayz.providers.retry_after import seconds_to_wait

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("Thu, 01 Jan 2026 12:01:30 GMT", 90.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1.2.3", None),
        ("99999999999999999999999", 1e23),
        ("٣", None),
    ],
)
def test_it_is_seconds_or_nothing(header: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(header, now=NOW) == seconds
