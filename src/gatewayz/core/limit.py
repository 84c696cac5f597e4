"""A limit on use, as accounts declare it and admission enforces it."""

from enum import StrEnum

from msgspec import Struct


class Measure(StrEnum):
    """What is limited. CONCURRENT has no window: it counts requests that run at one time."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENT = "concurrent"


class Subject(StrEnum):
    """Who is counted together."""

    KEY = "key"
    ACCOUNT = "account"


WINDOWS = {"minute": 60, "hour": 3600, "day": 86_400}
"""Seconds of the windows that a limit may have, by name."""


class Limit(Struct, frozen=True, gc=False):
    """At most `amount` of `measure` by one `subject` in any `window` of seconds (0 for CONCURRENT)."""

    subject: Subject
    measure: Measure
    amount: int
    window: int = 0
