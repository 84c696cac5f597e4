"""The composition root: builds the parts that commands and workers share, and joins them.

What only a worker needs, all of HTTP, is joined in worker.py: commands start faster without it.
"""

import difflib
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import structlog

from gatewayz.accounts import repository as accounts_repository
from gatewayz.accounts.account_rows import AccountRows
from gatewayz.accounts.accounts import Accounts
from gatewayz.accounts.authentication import Authentication
from gatewayz.accounts.digest import KeyDigester, former_peppers, pepper_from
from gatewayz.accounts.effective_limits import EffectiveLimits
from gatewayz.accounts.key_rows import KeyRows
from gatewayz.accounts.keys import ApiKeys
from gatewayz.accounts.plan_rows import PlanRows
from gatewayz.accounts.plans import Plans
from gatewayz.accounts.provider_key_rows import ProviderKeyRows
from gatewayz.accounts.provider_keys import ProviderKeys
from gatewayz.accounts.sealing import Sealer
from gatewayz.accounts.strangers import Strangers
from gatewayz.cache.bus import Bus, RowsMissed
from gatewayz.cache.cache import Cache
from gatewayz.cache.either_bus import EitherBus
from gatewayz.cache.entity import Entity
from gatewayz.cache.errors import BusDown
from gatewayz.cache.memory import setting_of
from gatewayz.cache.redis_bus import RedisBus
from gatewayz.cache.redis_place import RedisPlace, redis_place
from gatewayz.cache.redis_scripts import RedisScripts
from gatewayz.cache.schema import fingerprint_of
from gatewayz.cache.watched import WatchedCache
from gatewayz.catalog import repository as catalog_repository
from gatewayz.catalog.service import CatalogService
from gatewayz.catalog.sync import CatalogSync, ListToSync
from gatewayz.core.clock import SystemClock
from gatewayz.core.errors import Unavailable
from gatewayz.credits import repository as credits_repository
from gatewayz.credits.config import CreditsConfig
from gatewayz.credits.ledger import Ledger
from gatewayz.credits.reconciliation import Reconciliation
from gatewayz.credits.repository import CreditsRepository
from gatewayz.credits.settlement import Settlement
from gatewayz.credits.tranches import Tranches
from gatewayz.health import repository as health_repository
from gatewayz.health import scripts as health_scripts
from gatewayz.health.fleet import FleetHealth
from gatewayz.health.model import Figures
from gatewayz.health.reports import Reports
from gatewayz.idempotency.repository import IdempotencyRepository
from gatewayz.idempotency.service import CLAIM_LASTS, Idempotency
from gatewayz.jobs.repository import JobsRepository
from gatewayz.limits import scripts as limits_scripts
from gatewayz.providers.config import ConfiguredProvider
from gatewayz.providers.dialects.table import DIALECTS
from gatewayz.providers.fetch import fetch_listing
from gatewayz.providers.listing import Listing
from gatewayz.responses import repository as responses_repository
from gatewayz.responses import scripts as responses_scripts
from gatewayz.responses.key import ResponseKeys
from gatewayz.settings import Settings, SettingsInvalid, database_url
from gatewayz.storage.audit import AuditLog
from gatewayz.storage.database import Database
from gatewayz.storage.notifications import Notifications
from gatewayz.storage.outbox import Outbox
from gatewayz.telemetry.cache_lines import log_use
from gatewayz.telemetry.propagation import passing_on

# Connections a worker may hold to providers, all of them together.
_UPSTREAM_CONNECTIONS = 1000
# Seconds between a lost election connection and the next candidacy.
ELECTION_PAUSE = 0.5

ENTITIES: tuple[Entity[Any, Any], ...] = (
    *catalog_repository.ENTITIES,
    *accounts_repository.ENTITIES,
    *credits_repository.ENTITIES,
    *responses_repository.ENTITIES,
    *health_repository.ENTITIES,
)


@dataclass(frozen=True)
class CreditsParts:
    """Money, joined. `tranches` and `settlement` are what requests need, the others what people and jobs do."""

    tranches: Tranches
    settlement: Settlement
    ledger: Ledger
    repository: CreditsRepository
    reconciliation: Reconciliation


@dataclass(frozen=True)
class Parts:
    """What commands and workers share, joined and started. `installation`: its name among others on one Redis.
    `scripts`: what else than the cache runs there. `health` as all workers see it, and `reports` made of it.
    """

    settings: Settings
    installation: str
    database: Database
    redis: RedisPlace | None
    scripts: RedisScripts | None
    health: FleetHealth
    reports: Reports
    cache: Cache
    outbox: Outbox
    catalog: CatalogService
    keys: ApiKeys
    idempotency: Idempotency
    response_keys: ResponseKeys
    digester: KeyDigester
    accounts: Accounts
    plans: Plans
    provider_keys: ProviderKeys
    effective_limits: EffectiveLimits
    audit: AuditLog
    jobs: JobsRepository
    authentication: Authentication
    credits: CreditsParts
    http: aiohttp.ClientSession
    providers: Mapping[str, ConfiguredProvider]


@asynccontextmanager
async def assembled(settings: Settings) -> AsyncIterator[Parts]:
    """The parts, until the end of the block. The settings must name a database; whether it answers does not matter."""
    check(settings)
    url = database_url(settings)
    secret = settings.secret_key.get_secret_value() if settings.secret_key else None
    digester = KeyDigester(pepper_from(secret, settings.data_dir))
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        database = Database(
            url,
            pool_size=settings.storage.pool_size,
            connect_timeout=settings.storage.connect_timeout,
            command_timeout=settings.storage.command_timeout,
        )
        await database.open()
        stack.push_async_callback(database.close)
        redis = _redis(settings)
        scripts = None
        if redis is not None:
            stack.push_async_callback(redis.close)
            rng = random.Random()  # noqa: S311  jitter, not a secret
            texts = (*limits_scripts.ALL, *health_scripts.ALL, *responses_scripts.ALL)
            scripts = RedisScripts(redis.over, texts, clock=clock, rng=rng)
            stack.push_async_callback(scripts.close)
        bus = _bus(url, redis, digester.installation())
        stack.push_async_callback(bus.close)
        providers = {each.provider.slug: each for each in settings.configured_providers()}
        health = _health(settings, scripts, clock, digester.installation())
        reports = Reports(health, tuple(providers.values()), clock)
        cache = _cache(settings, database, reports, clock, redis, bus, digester.installation())
        stack.push_async_callback(cache.close)
        outbox = Outbox(database, cache.apply, [entity.name for entity in ENTITIES])
        cache.on_rows_changed(outbox.wake)
        await cache.start()
        connector = aiohttp.TCPConnector(limit=_UPSTREAM_CONNECTIONS, ttl_dns_cache=60)
        tracing = [passing_on()] if settings.traces.endpoint is not None else None
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, trace_configs=tracing))
        yield Parts(
            settings=settings,
            installation=digester.installation(),
            database=database,
            redis=redis,
            scripts=scripts,
            health=health,
            reports=reports,
            cache=cache,
            outbox=outbox,
            catalog=CatalogService(cache),
            idempotency=Idempotency(
                IdempotencyRepository(database, claim_lasts=CLAIM_LASTS, keep=settings.idempotency.keep),
                most_bytes=settings.idempotency.max_answer_bytes,
            ),
            digester=digester,
            response_keys=ResponseKeys(digester.secret_for(b"responses"), settings.responses.sharing),
            keys=ApiKeys(KeyRows(database, outbox), digester, clock),
            accounts=Accounts(AccountRows(database, outbox), cache, digester, clock),
            plans=Plans(PlanRows(database, outbox), cache),
            provider_keys=ProviderKeys(
                ProviderKeyRows(database, outbox), cache, _sealer(settings, digester), _open_to_own_keys(providers)
            ),
            effective_limits=EffectiveLimits(cache, clock),
            audit=AuditLog(database),
            jobs=JobsRepository(database),
            authentication=_authentication(settings, cache, digester, clock),
            credits=_credits(settings.credits, database, outbox, clock),
            http=http,
            providers=providers,
        )


def check(settings: Settings) -> None:
    """Raises a GatewayzError for settings that contradict what the parts declare, though each may be well-formed."""
    settings.configured_providers()
    known = [setting_of(entity) for entity in ENTITIES]
    named = {"TTL": settings.cache.ttl, "LEARNED_TTL": settings.cache.learned_ttl}
    for setting, name in ((setting, name) for setting, by_entity in named.items() for name in by_entity):
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {nearest[0].upper()}?" if nearest else f"known: {', '.join(known).upper()}"
            raise SettingsInvalid(f"GATEWAYZ_CACHE__{setting}__{name.upper()}: there is no such entity; {hint}")


def catalog_sync(parts: Parts, offline: Mapping[str, Listing]) -> CatalogSync:
    return CatalogSync(parts.outbox, parts.settings.catalog, offline)


def lists_to_sync(parts: Parts) -> list[ListToSync]:
    """Every provider in use that lists its models."""
    return [
        _list_to_sync(parts.http, each)
        for each in parts.providers.values()
        if each.is_listed and (each.provider.listing is not None or each.provider.models)
    ]


def _health(settings: Settings, scripts: RedisScripts | None, clock: SystemClock, installation: str) -> FleetHealth:
    # A build with other figures reads none of this one's.
    prefix = f"gw:health-figures:{installation}:{fingerprint_of({'figures': Figures})}:"
    return FleetHealth(scripts, clock, settings.health, prefix=prefix)


def _cache(  # noqa: PLR0917  the parts in the order in which they are made
    settings: Settings,
    database: Database,
    reports: Reports,
    clock: SystemClock,
    redis: RedisPlace | None,
    bus: Bus,
    installation: str,
) -> Cache:
    config = settings.cache
    # Commands set up no log: what they print is their answer.
    is_watched = settings.log.level == "debug" and structlog.is_configured()
    made = (WatchedCache if is_watched else Cache)(
        ENTITIES,
        database,
        own_sources=dict.fromkeys(health_repository.ENTITIES, reports),
        clock=clock,
        rng=random.Random(),  # noqa: S311  jitter, not a secret
        redis=redis.over if redis is not None else None,
        bus=bus,
        installation=installation,
        enabled=config.enabled,
        fresh=config.ttl,
        learn=config.learned_ttl,
        max_entries=config.l1_max_entries,
        max_bytes=config.l1_max_bytes,
        sampler_rate=config.sampler_rate,
    )
    if isinstance(made, WatchedCache):
        made.watch(log_use)
    return made


def _authentication(settings: Settings, cache: Cache, digester: KeyDigester, clock: SystemClock) -> Authentication:
    config = settings.accounts
    given = settings.admin_key
    known = [] if given is None else [digester.digest(given.get_secret_value())]
    strangers = Strangers(clock, rate=config.unknown_key_rate, burst=config.unknown_key_burst, known=known)
    return Authentication(cache, digester, clock, strangers)


def _sealer(settings: Settings, digester: KeyDigester) -> Sealer:
    former = settings.former_secret_key
    peppers = former_peppers(former.get_secret_value()) if former is not None else ()
    use = b"provider keys"
    return Sealer(digester.secret_for(use), [KeyDigester(pepper).secret_for(use) for pepper in peppers])


def _open_to_own_keys(providers: Mapping[str, ConfiguredProvider]) -> frozenset[str]:
    """Those that can be asked with a key of an account's own."""
    return frozenset(
        slug
        for slug, each in providers.items()
        if each.takes_own_keys and DIALECTS[each.provider.dialect].speak is not None
    )


def _credits(config: CreditsConfig, database: Database, outbox: Outbox, clock: SystemClock) -> CreditsParts:
    return CreditsParts(
        tranches=Tranches(database, config, clock),
        settlement=Settlement(database),
        ledger=Ledger(outbox, config),
        repository=CreditsRepository(database),
        reconciliation=Reconciliation(database),
    )


def _redis(settings: Settings) -> RedisPlace | None:
    url = settings.redis_url()
    if url is None:
        return None
    cache = settings.cache
    return redis_place(
        url,
        password=cache.redis_password.get_secret_value() if cache.redis_password else None,
        max_connections=cache.redis_max_connections,
        socket_timeout=cache.redis_socket_timeout,
        connect_timeout=cache.redis_socket_connect_timeout,
    )


def _bus(database_url: str, redis: RedisPlace | None, installation: str) -> Bus:
    """Invalidations go through Redis and PostgreSQL both, so that either may be away."""
    postgres = _PostgresBus(Notifications(database_url))
    if redis is None:
        return EitherBus([postgres])
    return EitherBus([RedisBus(redis.lines, channel=f"gw:bus:{installation}"), postgres])


class _PostgresBus:
    """PostgreSQL's notifications as the cache wants a bus. Commits tell their changes here only."""

    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications
        self._has_listened = False

    async def publish(self, payload: str) -> bool:
        try:
            await self._notifications.publish(payload)
        except Unavailable as error:
            raise BusDown(error.message) from error
        return False

    async def listen(self, on_message: Callable[[str], None], on_lost: Callable[[], None]) -> None:
        try:
            await self._notifications.listen(on_message, on_lost)
        except Unavailable as error:
            raise BusDown(error.message) from error
        if self._has_listened:
            on_message(msgspec.json.encode(RowsMissed()).decode())
        self._has_listened = True

    async def close(self) -> None:
        await self._notifications.close()


def _list_to_sync(http: aiohttp.ClientSession, configured: ConfiguredProvider) -> ListToSync:
    provider = configured.provider
    key = configured.api_key.get_secret_value() if configured.api_key else None

    async def fetch() -> Listing:
        return await fetch_listing(http, provider, key)

    return ListToSync(provider.slug, provider.name, fetch)
