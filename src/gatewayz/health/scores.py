"""How fast offers have answered in this worker: moving averages, in which the last ten answers or so count."""

from msgspec import Struct

_WEIGHT = 0.2
_MOST = 50_000


class Score(Struct, frozen=True):
    """`latency`: seconds to the first byte. `throughput`: tokens a second from then on; None before any was seen."""

    latency: float
    throughput: float | None = None


class Scores:
    """By the name of an offer. What never answered here has no score, which is not a good one."""

    def __init__(self) -> None:
        self._scores: dict[str, Score] = {}

    def of(self, name: str) -> Score | None:
        return self._scores.get(name)

    def began(self, name: str, seconds: float) -> None:
        known = self._scores.get(name)
        if known is None and len(self._scores) >= _MOST:
            self._scores.clear()
        latency = seconds if known is None else _moved(known.latency, seconds)
        self._scores[name] = Score(latency, None if known is None else known.throughput)

    def ended(self, name: str, tokens: int, seconds: float) -> None:
        """So many tokens came in the seconds after the first byte."""
        known = self._scores.get(name)
        if known is None or tokens <= 0 or seconds <= 0:
            return
        rate = tokens / seconds
        throughput = rate if known.throughput is None else _moved(known.throughput, rate)
        self._scores[name] = Score(known.latency, throughput)


def _moved(average: float, latest: float) -> float:
    return average + _WEIGHT * (latest - average)
