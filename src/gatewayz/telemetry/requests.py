"""What requests say to Prometheus: counted once each, at their end."""

from collections.abc import Iterator, Mapping

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gatewayz.core.course import Course
from gatewayz.core.money import NANO_PER_USD
from gatewayz.core.tally import Histogram, Names

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
ADDED = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
AGES = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0, 604_800.0)
MOST_MODELS = 300
"""A catalog has thousands; a worker serves few of them."""
NONE = "none"
CUT = "cut"
"""The status of an answer that broke off."""
GONE = "gone"
"""That of a client who left before there was any."""

_WAITING_FOR_OTHERS = "collapsed"

Series = tuple[str, str, str, str, str]
Times = tuple[str, str]


class Requests:
    """Of one worker. `counts` by endpoint, provider, model, status and cache status; times by the first and last."""

    def __init__(self) -> None:
        self._models = Names(MOST_MODELS)
        self.counts: dict[Series, int] = {}
        self.seconds: dict[Times, Histogram] = {}
        self.added: dict[Times, Histogram] = {}
        self.first_token: dict[Times, Histogram] = {}
        self.age = Histogram(AGES)
        self.saved: dict[Times, Saved] = {}

    def ended(self, course: Course, now: float) -> None:
        cache = course.cache or NONE
        provider, model = course.provider or NONE, self._models.of(course.model) if course.model else NONE
        status = CUT if course.is_cut else str(course.status or GONE)
        series = (course.endpoint, provider, model, status, cache)
        self.counts[series] = self.counts.get(series, 0) + 1
        times = (course.endpoint, cache)
        seconds = now - course.began
        _of(self.seconds, times, SECONDS).observe(seconds)
        to_answer = course.first_byte - course.began if course.is_stream and course.first_byte else seconds
        if cache != _WAITING_FOR_OTHERS:
            _of(self.added, times, ADDED).observe(max(0.0, to_answer - course.waited))
        if course.is_stream and course.first_byte:
            _of(self.first_token, (provider, cache), SECONDS).observe(to_answer)
        if course.age is not None:
            self._note_saved(provider, model, course, seconds)
            if cache != _WAITING_FOR_OTHERS:
                self.age.observe(course.age)

    def _note_saved(self, provider: str, model: str, course: Course, seconds: float) -> None:
        saved = self.saved.get((provider, model))
        if saved is None:
            saved = self.saved[provider, model] = Saved()
        saved.nano_usd += course.saved
        saved.seconds += max(0.0, course.saved_seconds - seconds)


class Saved(Struct):
    nano_usd: int = 0
    seconds: float = 0.0


def _of(histograms: dict[Times, Histogram], labels: Times, bounds: tuple[float, ...]) -> Histogram:
    found = histograms.get(labels)
    if found is None:
        found = histograms[labels] = Histogram(bounds)
    return found


class RequestsCollector(Collector):
    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def collect(self) -> Iterator[Metric]:
        requests = self._requests
        counts = CounterMetricFamily(
            "gatewayz_requests",
            f"Requests by how they ended. {NONE!r} stands where nobody was asked, {GONE!r} for clients who left before "
            f"there was an answer, {CUT!r} for answers that broke off.",
            labels=["endpoint", "provider", "model", "status", "cache"],
        )
        for labels, count in list(requests.counts.items()):
            counts.add_metric(labels, count)
        yield counts
        yield _histogram(
            "gatewayz_request_seconds", "Seconds to the last byte.", ["endpoint", "cache"], requests.seconds
        )
        yield _histogram(
            "gatewayz_added_seconds",
            "Seconds to a stream's first byte, to the last of other answers, less those of waiting for providers.",
            ["endpoint", "cache"],
            requests.added,
        )
        yield _histogram(
            "gatewayz_first_token_seconds",
            "Seconds to a stream's first byte.",
            ["provider", "cache"],
            requests.first_token,
        )
        age = HistogramMetricFamily(
            "gatewayz_responses_age_seconds", "Ages of answers that were given again.", labels=[]
        )
        age.add_metric([], buckets=requests.age.cumulative(), sum_value=requests.age.total)
        yield age
        yield from _savings(requests.saved)


def _savings(saved: Mapping[Times, Saved]) -> Iterator[Metric]:
    labels = ["provider", "model"]
    cost = CounterMetricFamily(
        "gatewayz_responses_saved_usd", "US dollars that answers from the cache would have cost.", labels=labels
    )
    time = CounterMetricFamily(
        "gatewayz_responses_saved_seconds",
        "Seconds by which answers from the cache came sooner than they were made.",
        labels=labels,
    )
    for names, each in list(saved.items()):
        cost.add_metric(names, each.nano_usd / NANO_PER_USD)
        time.add_metric(names, each.seconds)
    yield from (cost, time)


def _histogram(name: str, text: str, labels: list[str], histograms: Mapping[Times, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, each in list(histograms.items()):
        family.add_metric(values, buckets=each.cumulative(), sum_value=each.total)
    return family
