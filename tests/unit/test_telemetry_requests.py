"""Requests as they are counted, and their lines in the log."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from gatewayz.core.course import ANSWERED, Course, attempting, awaited, course, follow, waiting
from gatewayz.core.errors import ProviderFailed
from gatewayz.core.tally import MOST_MODELS, OTHER, Histogram, Names
from gatewayz.telemetry.request_lines import RequestLines
from gatewayz.telemetry.requests import Requests, RequestsCollector

SCOPE = {"method": "POST", "path": "/v1/chat/completions"}


def ended(requests: Requests, seconds: float = 0.5, **told: Any) -> None:  # noqa: ANN401  any field
    """A request that took so long, of which this is told."""
    one = Course("req_12345678")
    one.endpoint = "/v1/chat/completions"
    for name, value in told.items():
        setattr(one, name, value)
    if "first_byte" in told:
        one.first_byte += one.began
    requests.ended(one, one.began + seconds)


def value(requests: Requests, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(RequestsCollector(requests))
    return registry.get_sample_value(name, labels)


def test_a_request_is_counted_by_where_it_ended() -> None:
    requests = Requests()
    ended(requests, provider="acme", model="acme/rocket-1", status=200, cache="miss", first_byte=0.2)
    ended(requests, status=401)
    ended(requests)
    ended(requests, status=200, is_cut=True, first_byte=0.1)
    labels = {"endpoint": "/v1/chat/completions", "provider": "none", "model": "none", "cache": "none"}
    name = "gatewayz_requests_total"
    of_acme = {"provider": "acme", "model": "acme/rocket-1", "cache": "miss", "status": "200"}
    assert value(requests, name, **{**labels, **of_acme}) == 1
    for status in ("401", "gone", "cut"):
        assert value(requests, name, **labels, status=status) == 1


def test_models_beyond_the_bound_are_told_together() -> None:
    requests = Requests()
    for number in range(3 * MOST_MODELS):
        ended(requests, provider="acme", model=f"acme/rocket-{number}", status=200, cache="miss")
    assert len(requests.series) == MOST_MODELS + 1
    labels = {"endpoint": "/v1/chat/completions", "provider": "acme", "status": "200", "cache": "miss"}
    assert value(requests, "gatewayz_requests_total", **labels, model=OTHER) == 2 * MOST_MODELS


@pytest.mark.parametrize(
    ("told", "added"),
    [
        ({"cache": "hit"}, 0.5),
        ({"cache": "miss", "waited": 0.4}, 0.1),
        ({"cache": "miss", "waited": 0.15, "is_stream": True, "first_byte": 0.2}, 0.05),
        ({"cache": "bypass", "waited": 0.3}, 0.2),
    ],
)
def test_added_latency_is_what_providers_are_not_to_blame_for(told: dict[str, Any], added: float) -> None:
    requests = Requests()
    ended(requests, 0.5, status=200, **told)
    labels = {"endpoint": "/v1/chat/completions", "cache": told["cache"]}
    assert value(requests, "gatewayz_added_seconds_sum", **labels) == pytest.approx(added)


def test_who_waited_for_anothers_answer_does_not_count_as_added_latency() -> None:
    requests = Requests()
    ended(requests, status=200, cache="collapsed")
    assert value(requests, "gatewayz_added_seconds_count", endpoint="/v1/chat/completions", cache="collapsed") == 0
    assert value(requests, "gatewayz_request_seconds_sum", endpoint="/v1/chat/completions", cache="collapsed") == 0.5


def test_savings_are_what_the_answer_had_cost_and_how_much_sooner_it_came() -> None:
    requests = Requests()
    recalled = {"provider": "acme", "model": "acme/rocket-1", "saved": 2_500_000, "saved_seconds": 3.0, "age": 100.0}
    ended(requests, 0.5, status=200, cache="hit", **recalled)
    labels = {"provider": "acme", "model": "acme/rocket-1"}
    assert value(requests, "gatewayz_responses_saved_usd_total", **labels) == pytest.approx(0.0025)
    assert value(requests, "gatewayz_responses_saved_seconds_total", **labels) == pytest.approx(2.5)
    assert value(requests, "gatewayz_responses_age_seconds_bucket", le="300.0") == 1
    assert value(requests, "gatewayz_responses_age_seconds_bucket", le="60.0") == 0


def test_a_histogram_counts_a_bound_as_within() -> None:
    histogram = Histogram((1.0, 2.0))
    for each in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(each)
    assert histogram.cumulative() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]


def test_names_are_kept_by_who_came_first() -> None:
    names = Names(1)
    assert [names.of(each) for each in ("a", "b", "a")] == ["a", OTHER, "a"]


async def test_attempts_and_waits_are_told_of_the_request_in_whose_context_they_are() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    one = Course("req_12345678")
    follow(one)
    with waiting(), pytest.raises(ProviderFailed), attempting("acme", "acme/rocket-1"):
        raise ProviderFailed("no", status=503)
    with attempting("beta", "acme/rocket-1"):
        pass
    assert course() is one
    assert [(each.provider, each.outcome, each.status) for each in one.attempts] == [
        ("acme", "provider_error", 503),
        ("beta", ANSWERED, None),
    ]
    assert all(each.ended >= each.began for each in one.attempts)
    waited = one.waited
    assert waited > 0
    assert [each async for each in awaited(chunks(), is_stream=True)] == [b"a", b"b"]
    assert one.waited > waited


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    structlog.reset_defaults()
    with capture_logs() as captured:
        yield captured


def line_of(lines: RequestLines, at: float = 0.25, **told: Any) -> None:  # noqa: ANN401  any field
    one = Course("req_12345678")
    for name, each in told.items():
        setattr(one, name, each)
    one.began = 100.0
    lines.ended(one, SCOPE, 100.0 + at)


def test_a_line_says_what_became_of_a_request(lines: list[Any]) -> None:
    told: dict[str, Any] = {
        "provider": "acme",
        "model": "acme/rocket-1",
        "cache": "miss",
        "tier": "absent",
        "cost": 2_500_000,
    }
    line_of(RequestLines(most=1), status=200, prompt=7, completion=9, attempts=[None, None], **told)
    assert lines == [
        {
            "event": "request",
            "log_level": "info",
            "request_id": "req_12345678",
            "method": "POST",
            "path": "/v1/chat/completions",
            "status": 200,
            "seconds": 0.25,
            "model": "acme/rocket-1",
            "provider": "acme",
            "cache": "miss",
            "cache_detail": "absent",
            "attempts": 2,
            "prompt_tokens": 7,
            "completion_tokens": 9,
            "cost_usd": 0.0025,
        }
    ]


def test_answers_from_memory_have_lines_as_far_as_there_is_room_and_others_always(lines: list[Any]) -> None:
    of = RequestLines(most=2)
    for _ in range(5):
        line_of(of, status=200, cache="hit")
    line_of(of, status=503)
    line_of(of, status=200, attempts=[None])
    line_of(of, status=200, is_cut=True)
    assert [(each["status"], each.get("left_out")) for each in lines] == [
        (200, None),
        (200, None),
        (503, 3),
        (200, None),
        (200, None),
    ]
    line_of(of, at=1.5, status=200, cache="hit")
    assert len(lines) == 6


def test_who_left_before_there_was_an_answer_is_said_to_have_gone(lines: list[Any]) -> None:
    line_of(RequestLines(most=1))
    assert (lines[0]["status"], lines[0]["ended"]) == (0, "client gone")
