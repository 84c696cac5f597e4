"""What one worker has seen of a name since it told the others last."""

from gatewayz.health.model import NO_TIMES, bucket_of, sums

PROBE_WEIGHT = 2
"""Requests that a probe counts for: two that fail in a row are evidence."""


class Seen:
    """Counts; see `Slot`. `left_alone_until`: a Unix time, 0 where it is not left alone. `is_recovered`: what failed
    before is to be forgotten. `slow`: seconds from which a stream is.
    """

    __slots__ = (
        "failed_probes",
        "failures",
        "first_token",
        "is_recovered",
        "latency",
        "left_alone_until",
        "probes",
        "requests",
        "slow",
        "streams",
    )

    def __init__(self, *, is_recovered: bool = False) -> None:
        self.requests = self.failures = self.streams = self.slow = self.probes = self.failed_probes = 0
        self.latency = list(NO_TIMES)
        self.first_token = list(NO_TIMES)
        self.left_alone_until = 0.0
        self.is_recovered = is_recovered

    def began(self, seconds: float, *, is_stream: bool, is_slow: bool) -> None:
        """An answer, after so long."""
        self.requests += 1
        bucket = bucket_of(seconds)
        self.latency[bucket] += 1
        if is_stream:
            self.streams += 1
            self.slow += is_slow
            self.first_token[bucket] += 1

    def add(self, earlier: "Seen") -> None:
        """What was seen before this, and could not be told: of no account where it has recovered since."""
        if self.is_recovered:
            return
        for name in ("requests", "failures", "streams", "slow", "probes", "failed_probes"):
            setattr(self, name, getattr(self, name) + getattr(earlier, name))
        self.latency = [*sums([self.latency, earlier.latency])]
        self.first_token = [*sums([self.first_token, earlier.first_token])]
        self.left_alone_until = max(self.left_alone_until, earlier.left_alone_until)
        self.is_recovered = earlier.is_recovered
