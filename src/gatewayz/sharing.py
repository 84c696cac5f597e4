"""What a worker joins so that the answers of requests are kept and shared."""

import random
from dataclasses import dataclass

from prometheus_client.registry import Collector

from gatewayz.app import Parts
from gatewayz.core.clock import SystemClock
from gatewayz.inference.making import Maker
from gatewayz.inference.replies import Replies
from gatewayz.inference.service import InferenceService
from gatewayz.inference.turnstile import Turnstile
from gatewayz.responses.flights import Flights
from gatewayz.responses.metrics import ResponsesCollector, ResponsesCounts
from gatewayz.responses.plan import Plans
from gatewayz.responses.repository import CHAT

_JOINABLE = 4
"""Times the bytes of an answer that is kept: its events are longer than itself."""


@dataclass(frozen=True)
class Sharing:
    """`plans` and `replies` are for requests, `collector` is for the metrics."""

    plans: Plans
    replies: Replies
    flights: Flights
    collector: Collector


def sharing(parts: Parts, turnstile: Turnstile, inference: InferenceService) -> Sharing:
    config, clock, cache = parts.settings.responses, SystemClock(), parts.cache
    counts = ResponsesCounts()
    flights = Flights(most_bytes=_JOINABLE * config.max_bytes)
    maker = Maker(inference, cache, counts, clock, most_bytes=config.max_bytes)
    replies = Replies(inference, turnstile, cache, maker, flights, counts, clock, wait=config.wait)
    rng = random.Random()  # noqa: S311  which of several answers one gets is no secret
    plans = Plans(parts.response_keys, config, ttl=cache.stats().entities[CHAT.name].fresh_seconds, rng=rng)
    return Sharing(plans, replies, flights, ResponsesCollector(counts, lambda: flights.under_way))
