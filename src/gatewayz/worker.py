"""One worker as an ASGI application: its hot paths, its control plane, its work in the background."""

import asyncio
import math
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import structlog
from redis.exceptions import RedisError
from starlette.types import ASGIApp

from gatewayz.accounts.metrics import AuthenticationCollector
from gatewayz.api.answer import Scope
from gatewayz.api.asgi import Gateway
from gatewayz.api.asking import Asking
from gatewayz.api.at_once import AtOnce, Done
from gatewayz.api.browsers import with_cors
from gatewayz.api.cache_glance import GLANCE, NOTE_EVERY, Glances
from gatewayz.api.callers import Callers
from gatewayz.api.catalog import catalog_routes
from gatewayz.api.catalog_app import CatalogApp
from gatewayz.api.catalog_health import CatalogHealth
from gatewayz.api.client_address import ClientAddresses
from gatewayz.api.control_plane import control_plane
from gatewayz.api.draining import Drain
from gatewayz.api.embeddings_app import EmbeddingsApp
from gatewayz.api.health import Check, LiveApp
from gatewayz.api.inference_app import ChatApp
from gatewayz.api.plain_app import PlainApp
from gatewayz.api.routes import ControlParts, control_routers
from gatewayz.api.surface_app import SurfaceApp
from gatewayz.api.tokens_app import TokensApp
from gatewayz.app import ELECTION_PAUSE, Parts, assembled
from gatewayz.cache.errors import LoadFailed
from gatewayz.cache.samples import Violation
from gatewayz.catalog import repository as catalog_repository
from gatewayz.catalog.jobs import refresh
from gatewayz.core.clock import SystemClock
from gatewayz.core.errors import GatewayzError
from gatewayz.core.garbage import collect_rarely
from gatewayz.core.supervision import Work, background
from gatewayz.dashboard.routes import dashboard_routes
from gatewayz.dashboard.sessions import DashboardSessions
from gatewayz.health.breakers import Breakers
from gatewayz.health.metrics import BreakersCollector, HealthCollector
from gatewayz.health.scores import Scores
from gatewayz.idempotency.service import RENEW_EVERY
from gatewayz.inference.attempts import Attempts
from gatewayz.inference.metrics import AttemptsCollector
from gatewayz.inference.routing import Router
from gatewayz.inference.service import InferenceService
from gatewayz.inference.standing import Standing, Standings
from gatewayz.inference.token_counts import TokenCounts
from gatewayz.measuring import measuring
from gatewayz.paying import Paying, paying
from gatewayz.providers.config import ConfiguredProvider
from gatewayz.providers.dialects.chat import ChatDialect
from gatewayz.providers.dialects.table import DIALECTS
from gatewayz.reporting import ALIVE, SystemWatch, alive
from gatewayz.settings import Settings, database_url
from gatewayz.sharing import sharing
from gatewayz.storage.election import lead
from gatewayz.warming import warm_worker

log = structlog.get_logger("gatewayz.cache")


class Worker:
    """The ASGI application: its parts live from the server's startup to its shutdown."""

    def __init__(self, settings: Settings, drain: Drain) -> None:
        self._settings = settings
        self._drain = drain
        self._app: ASGIApp | None = None
        self._gateway: Gateway | None = None

    def may_be_at_hand(self, scope: Scope) -> bool:
        """As Gateway's."""
        return self._gateway is not None and self._gateway.may_be_at_hand(scope)

    def at_once(self, scope: Scope, body: bytes, done: Done) -> bool:
        """As Gateway's."""
        return self._gateway is not None and self._gateway.at_once(scope, body, done)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  ASGI's own types
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:  # noqa: ANN401  ASGI's own types
        await receive()
        try:
            async with AsyncExitStack() as stack:
                parts = await stack.enter_async_context(assembled(self._settings))
                pay = await stack.enter_async_context(paying(parts))
                await stack.enter_async_context(background({**_background_work(parts), **pay.works}))
                self._gateway = await _gateway(parts, pay, self._drain, stack)
                self._app = with_cors(self._gateway, self._settings.cors)
                collect_rarely()
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except GatewayzError as error:
            await send({"type": "lifespan.startup.failed", "message": error.message})
        else:
            await send({"type": "lifespan.shutdown.complete"})


async def _gateway(parts: Parts, pay: Paying, drain: Drain, stack: AsyncExitStack) -> Gateway:
    dialects = {name: each.speak(parts.http) for name, each in DIALECTS.items() if each.speak is not None}
    spoken = {slug: each for slug, each in parts.providers.items() if each.provider.dialect in dialects}
    standings = Standings(
        shared=msgspec.structs.replace(_standing(parts, "health"), health=parts.health),
        own=_standing(parts, "own-health"),
    )
    attempts = _attempts(parts, spoken, dialects, standings)
    router = Router(parts.catalog, spoken, standings)
    inference = InferenceService(
        router, pay.turnstile, attempts, parts.provider_keys, standings, SystemClock()
    )  # fmt: skip
    shared = sharing(parts, pay.turnstile, inference)
    stack.push_async_callback(lambda: shared.flights.close(within=drain.left))
    stack.push_async_callback(lambda: shared.vectors.close(within=drain.left))
    await stack.enter_async_context(background(shared.works))
    enabled = [slug for slug, each in spoken.items() if each.enabled]
    routes = catalog_routes(frozenset(enabled))
    collectors = (
        AuthenticationCollector(parts.authentication.refused),
        *pay.collectors,
        BreakersCollector(standings.shared.breakers, enabled),
        HealthCollector(parts.health, enabled),
        AttemptsCollector(lambda: attempts.counts, lambda: attempts.own_counts),
        shared.collector,
    )
    glances = Glances(parts.cache, SystemClock())
    await stack.enter_async_context(background({"note reads": (glances.note, NOTE_EVERY)}))
    answers = {ALIVE: alive, GLANCE: glances.answer}
    measured = await stack.enter_async_context(measuring(parts, collectors, answers))
    sessions = DashboardSessions(parts.digester, SystemClock())
    callers = Callers(parts.authentication, ClientAddresses(parts.settings.trusted_proxies), sessions)
    at_once = AtOnce(callers, shared.replies)
    asking = Asking(callers, parts.idempotency, parts.providers, parts.settings.max_body_bytes)
    stack.push_async_callback(lambda: asking.finish(within=drain.left))
    checks, required = _checks(parts), frozenset({"drain", "database", "catalog"})
    parts.reports.tell_of_system_by(SystemWatch(parts, checks, required, measured.siblings, SystemClock()).look)
    control = ControlParts(
        cache=parts.cache,
        callers=callers,
        keys=parts.keys,
        accounts=parts.accounts,
        plans=parts.plans,
        provider_keys=parts.provider_keys,
        effective_limits=parts.effective_limits,
        audit=parts.audit,
        jobs=parts.jobs,
        credits=parts.credits.repository,
        ledger=parts.credits.ledger,
        providers=parts.providers.keys(),
        outbox=parts.outbox,
        metrics=measured.metrics,
        siblings=measured.siblings,
        checks={"drain": _stays(drain), **checks},
        required_checks=required,
    )
    return Gateway(
        [
            ChatApp(asking, at_once, shared.replies, shared.plans),
            SurfaceApp(asking, shared.replies, shared.plans),
            EmbeddingsApp(asking, shared.vectors, shared.items),
            TokensApp(asking, TokenCounts(router, pay.turnstile, attempts, parts.provider_keys)),
            PlainApp(asking, inference),
            LiveApp(),
            CatalogApp(parts.catalog, routes, CatalogHealth(parts.cache), is_cached=parts.settings.cache.enabled),
        ],
        control_plane([*control_routers(control), dashboard_routes(callers, sessions)], routes),
        at_once,
        measured.requests,
    )


def _standing(parts: Parts, name: str) -> Standing:
    prefix = f"gw:{name}:{parts.installation}:"
    return Standing(Breakers(parts.scripts, SystemClock(), parts.settings.health, prefix=prefix), Scores())


def _attempts(
    parts: Parts,
    providers: Mapping[str, ConfiguredProvider],
    dialects: Mapping[str, ChatDialect],
    standings: Standings,
) -> Attempts:
    rng = random.Random()  # noqa: S311  jitter, not a secret
    return Attempts(providers, dialects, standings, parts.settings.inference, SystemClock(), rng)


def _background_work(parts: Parts) -> dict[str, tuple[Work, float]]:
    snapshots = asyncio.Event()
    parts.cache.on_invalidated(catalog_repository.CATALOG, snapshots.set)
    parts.cache.on_violation(_log_violation)

    async def rebuild() -> None:
        await snapshots.wait()
        snapshots.clear()
        await parts.catalog.snapshot()

    works: dict[str, tuple[Work, float]] = {
        "refresh": (lambda: refresh(parts.cache, parts.catalog), 5.0),
        "rebuild": (rebuild, 0.0),
        "sample": (parts.cache.sample, 1.0),
        "share health": (parts.health.exchange, parts.settings.health.share_every),
        "idempotency claims": (parts.idempotency.renew, RENEW_EVERY),
        "relay": (lambda: relay_while_elected(parts), ELECTION_PAUSE),
    }
    if parts.settings.cache.warm_on_startup:
        works["warm"] = (lambda: warm_worker(parts), math.inf)
    return works


def _log_violation(violation: Violation) -> None:
    log.error("cache_violation", **msgspec.structs.asdict(violation))


async def relay_while_elected(parts: Parts) -> None:
    """One process of all applies the row changes that their writers did not apply themselves."""
    await lead(database_url(parts.settings), "cache outbox", parts.outbox.relay)


def _stays(drain: Drain) -> Check:
    async def stays() -> str | None:
        return "this worker is about to stop" if drain.has_begun else None

    return stays


def _checks(parts: Parts) -> dict[str, Check]:
    async def database() -> str | None:
        try:
            async with asyncio.timeout(1):
                await parts.database.fetch_value("SELECT 1")
        except (GatewayzError, TimeoutError) as error:
            return str(error) or "the database does not answer within 1 s"
        return None

    async def redis() -> str | None:
        if parts.redis is None:
            return None
        try:
            async with asyncio.timeout(1):
                await parts.redis.ping()
        except (RedisError, OSError, TimeoutError) as error:
            return f"Redis does not answer ({type(error).__name__}); the cache goes on without it"
        return None

    async def catalog() -> str | None:
        if parts.catalog.is_warm:
            return None
        if parts.settings.cache.warm_on_startup:
            return "the catalog is not loaded yet"
        try:
            return None if await parts.catalog.has_any() else "the catalog is empty; run `gatewayz sync --offline`"
        except LoadFailed as error:
            return f"the catalog cannot be read: {error.__cause__}"

    return {"database": database, "redis": redis, "catalog": catalog}
