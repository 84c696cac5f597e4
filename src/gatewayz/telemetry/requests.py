"""What requests say to Prometheus: counted once each, at their end."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gatewayz.core.course import Course
from gatewayz.core.money import NANO_PER_USD
from gatewayz.core.tally import MOST_MODELS, Histogram, Names

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
ADDED = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
AGES = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0, 604_800.0)
NONE = "none"
CUT = "cut"
"""The status of an answer that broke off."""
GONE = "gone"
"""That of a client who left before there was any."""

_WAITING_FOR_OTHERS = "collapsed"

Key = tuple[str, str, str, int, str]
"""Endpoint, provider, model, status, cache status; empty, or 0, where there is none."""
Times = tuple[str, str]

_CUT = -1


class Series:
    """What is counted under one key. The histograms are shared with other keys."""

    __slots__ = ("added", "count", "labels", "saved_nano_usd", "saved_seconds", "seconds")

    def __init__(self, labels: tuple[str, str, str, str, str], seconds: Histogram, added: Histogram) -> None:
        self.labels = labels
        self.seconds = seconds
        self.added = added
        self.count = 0
        self.saved_nano_usd = 0
        self.saved_seconds = 0.0


class Requests:
    """Of one worker. `series` counts by all labels; times are by endpoint, or provider, and cache status."""

    def __init__(self) -> None:
        self._models = Names(MOST_MODELS)
        self.series: dict[Key, Series] = {}
        self.seconds: dict[Times, Histogram] = {}
        self.added: dict[Times, Histogram] = {}
        self.first_token: dict[Times, Histogram] = {}
        self.age = Histogram(AGES)

    def ended(self, course: Course, now: float) -> None:
        cache = course.cache
        status = _CUT if course.is_cut else course.status
        key = (course.endpoint, course.provider, course.model, status, cache)
        series = self.series.get(key) or self._series(key)
        series.count += 1
        seconds = to_answer = now - course.began
        series.seconds.observe(seconds)
        if course.is_stream and course.first_byte:
            to_answer = course.first_byte - course.began
            _of(self.first_token, (course.provider or NONE, cache or NONE), SECONDS).observe(to_answer)
        if cache != _WAITING_FOR_OTHERS:
            series.added.observe(to_answer - course.waited)
        if course.age is not None:
            series.saved_nano_usd += course.saved
            series.saved_seconds += max(0.0, course.saved_seconds - seconds)
            if cache != _WAITING_FOR_OTHERS:
                self.age.observe(course.age)

    def _series(self, key: Key) -> Series:
        endpoint, provider, model, status, cache = key
        named = self._models.of(model) if model else ""
        key = (endpoint, provider, named, status, cache)
        if (known := self.series.get(key)) is not None:
            return known
        times = (endpoint, cache or NONE)
        shown = CUT if status == _CUT else str(status or GONE)
        series = self.series[key] = Series(
            (endpoint, provider or NONE, named or NONE, shown, cache or NONE),
            _of(self.seconds, times, SECONDS),
            _of(self.added, times, ADDED),
        )
        return series


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
        series = list(requests.series.values())
        for each in series:
            counts.add_metric(each.labels, each.count)
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
        yield from _savings(series)


def _savings(series: Iterable[Series]) -> Iterator[Metric]:
    labels = ["provider", "model"]
    cost = CounterMetricFamily(
        "gatewayz_responses_saved_usd", "US dollars that answers from the cache would have cost.", labels=labels
    )
    time = CounterMetricFamily(
        "gatewayz_responses_saved_seconds",
        "Seconds by which answers from the cache came sooner than they were made.",
        labels=labels,
    )
    saved: dict[tuple[str, str], list[float]] = {}
    for each in series:
        of_model = saved.setdefault(each.labels[1:3], [0, 0])
        of_model[0] += each.saved_nano_usd
        of_model[1] += each.saved_seconds
    for names, (nano_usd, seconds) in saved.items():
        cost.add_metric(names, nano_usd / NANO_PER_USD)
        time.add_metric(names, seconds)
    yield from (cost, time)


def _histogram(name: str, text: str, labels: list[str], histograms: Mapping[Times, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, each in list(histograms.items()):
        family.add_metric(values, buckets=each.cumulative(), sum_value=each.total)
    return family
