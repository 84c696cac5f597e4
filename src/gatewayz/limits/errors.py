"""What admission refuses."""

from collections.abc import Sequence

from gatewayz.core.errors import ErrorKind, GatewayzError
from gatewayz.core.limit import WINDOWS, Limit, Measure
from gatewayz.limits.model import Standing

_NAMES = {seconds: name for name, seconds in WINDOWS.items()}


class RateLimited(GatewayzError):
    """`retry_after` is None where the request will never fit. `standings`: of all limits, for the answer's headers."""

    kind = ErrorKind.RATE_LIMITED

    def __init__(
        self, limit: Limit, *, retry_after: float | None, standings: Sequence[Standing], tokens: int, is_local: bool
    ) -> None:
        super().__init__(_message(limit, retry_after, tokens))
        self.retry_after = retry_after
        self.standings = standings
        self.is_local = is_local


def _message(limit: Limit, retry_after: float | None, tokens: int) -> str:
    whose = f"this {limit.subject}"
    if limit.measure is Measure.CONCURRENT:
        what = f"{limit.amount} requests of {whose} run already, and no more may at one time"
    else:
        what = f"{whose} may use {limit.amount} {limit.measure} in any {_NAMES.get(limit.window, f'{limit.window} s')}"
    if retry_after is not None:
        return f"{what}; try again in {retry_after:.1f} s"
    if limit.measure is Measure.TOKENS and limit.amount:
        return f"{what}, and this request alone may use {tokens}: make it shorter, or set max_tokens lower"
    return f"{what}: it is not to be used"
