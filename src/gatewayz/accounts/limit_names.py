"""Limits by the names that people write: `requests_per_minute`, `tokens_per_day`, `concurrent`."""

from collections.abc import Mapping
from itertools import chain
from typing import TypeAlias

import msgspec

from gatewayz.core.limit import WINDOWS, Limit, Measure, Subject

LIMIT_NAMES: Mapping[str, tuple[Measure, int]] = {
    **{
        f"{measure}_per_{window}": (measure, seconds)
        for measure in (Measure.REQUESTS, Measure.TOKENS)
        for window, seconds in WINDOWS.items()
    },
    str(Measure.CONCURRENT): (Measure.CONCURRENT, 0),
}
_NAMES = {place: name for name, place in LIMIT_NAMES.items()}
MOST = 10**15

Amounts: TypeAlias = Mapping[str, int | None]
"""By name; None lifts a limit that would hold otherwise."""

NamedLimits: TypeAlias = tuple[tuple[str, int | None], ...]
"""The same, frozen, in the order of their names."""


def name_of(limit: Limit) -> str:
    return _NAMES[limit.measure, limit.window]


def named(limits: str | None) -> NamedLimits:
    """From the JSON that the database holds, None for none."""
    if limits is None:
        return ()
    return tuple(sorted(msgspec.json.decode(limits, type=dict[str, int | None]).items()))


def limits_of(subject: Subject, *layers: NamedLimits) -> tuple[Limit, ...]:
    """What holds for the subject: of the same name, the amount of the last layer."""
    amounts = dict(chain.from_iterable(layers))
    return tuple(
        Limit(subject, LIMIT_NAMES[name][0], amount, LIMIT_NAMES[name][1])
        for name, amount in sorted(amounts.items())
        if amount is not None
    )
