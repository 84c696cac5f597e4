"""What a worker joins so that the answers of requests are kept and shared."""

import random
from dataclasses import dataclass

from prometheus_client.registry import Collector

from gatewayz.app import Parts
from gatewayz.cache.schema import fingerprint_of
from gatewayz.core.clock import SystemClock
from gatewayz.core.supervision import Work
from gatewayz.inference.making import Maker
from gatewayz.inference.replies import Replies
from gatewayz.inference.service import InferenceService
from gatewayz.inference.turnstile import Turnstile
from gatewayz.inference.vectors import VectorReplies
from gatewayz.responses.fleet import Fleet
from gatewayz.responses.flights import Flights
from gatewayz.responses.items import ItemsPlans
from gatewayz.responses.metrics import ResponsesCollector, ResponsesCounts
from gatewayz.responses.plan import Plans
from gatewayz.responses.records import Told
from gatewayz.responses.repository import CHAT, EMBED
from gatewayz.responses.wakes import Wakes

_JOINABLE = 4
"""Times the bytes of an answer that is kept: its events are longer than itself."""

_LISTEN_AGAIN = 0.5
"""Seconds."""


@dataclass(frozen=True)
class Sharing:
    """`plans` and `replies` are for requests for chats, `items` and `vectors` for those for vectors, `works` for the
    background, `collector` is for the metrics.
    """

    plans: Plans
    replies: Replies
    items: ItemsPlans
    vectors: VectorReplies
    flights: Flights
    works: dict[str, tuple[Work, float]]
    collector: Collector


def sharing(parts: Parts, turnstile: Turnstile, inference: InferenceService) -> Sharing:
    config, clock, cache = parts.settings.responses, SystemClock(), parts.cache
    counts = ResponsesCounts()
    most_bytes = _JOINABLE * config.max_bytes
    flights = Flights(most_bytes=most_bytes)
    works: dict[str, tuple[Work, float]] = {}
    fleet = None
    if parts.redis is not None and parts.scripts is not None and config.enabled:
        wakes = Wakes(parts.redis.lines, f"gw:flights:{parts.installation}")
        works["hear of answers"] = (wakes.listen, _LISTEN_AGAIN)
        # A build with other records follows none of this one's answers, and is not followed.
        prefix = f"gw:flight:{parts.installation}:{fingerprint_of({'told': Told})}:"
        fleet = Fleet(parts.scripts, wakes, clock, prefix=prefix, lease=config.lease, most_bytes=most_bytes)
    maker = Maker(inference, cache, fleet, counts, clock, most_bytes=config.max_bytes)
    replies = Replies(inference, turnstile, cache, maker, flights, counts, clock, wait=config.wait)
    rng = random.Random()  # noqa: S311  which of several answers one gets is no secret
    stats = cache.stats().entities
    plans = Plans(parts.response_keys, config, ttl=stats[CHAT.name].fresh_seconds, rng=rng)
    items = ItemsPlans(parts.response_keys, config, ttl=stats[EMBED.name].fresh_seconds)
    vectors = VectorReplies(
        inference, turnstile, cache, counts, clock, wait=config.wait, most_bytes=config.max_bytes
    )  # fmt: skip
    return Sharing(
        plans, replies, items, vectors, flights, works, ResponsesCollector(counts, lambda: flights.under_way)
    )
