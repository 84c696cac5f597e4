"""Fill the cache before somebody asks: one load for all workers, none of what they share already. Admin key only."""

from collections.abc import Sequence
from time import perf_counter
from typing import Annotated

from fastapi import APIRouter, Request
from msgspec import Struct
from msgspec.structs import asdict
from pydantic import Field

from gatewayz.api.admin.forms import Form, Reason
from gatewayz.api.admin.route import MISSING, act_of, admin_router
from gatewayz.api.cache_names import Name, entity_name
from gatewayz.api.callers import Callers
from gatewayz.cache.cache import Cache
from gatewayz.cache.errors import BadKey, LoadFailed, UnknownEntity
from gatewayz.catalog.repository import CATALOG, PROVIDER_CATALOG, STATS, UNIQUE_MODELS
from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest
from gatewayz.storage.audit import AuditLog

_OF_THE_CATALOG = (CATALOG.name, UNIQUE_MODELS.name, STATS.name)


class WarmForm(Form):
    """`cache_type` (an entity; `keys` of it, where it has many), or `gateway` with all that hangs on it; with neither,
    the catalog and every provider's.
    """

    cache_type: Name | None = None
    keys: Annotated[list[Name], Field(max_length=1000)] = Field(default_factory=list)
    gateway: Name | None = None
    reason: Reason = None


class Warmed(Struct, frozen=True, kw_only=True):
    """One step. `found`: the tiers hold a value now; not where there is none, or where `error` says why."""

    entity: str
    key: str
    found: bool
    seconds: float
    error: str | None = None


class WarmedForm(Form):
    """`entries`: how many values all workers share now, of those asked for. `loads`: how many of them the worker that
    answers had to load. `bytes`: by how much its memory grew. `steps`: what was done, in its order.
    """

    class Step(Form):
        entity: str
        key: str
        found: bool
        seconds: float
        error: str | None

    entries: int
    failed: int
    loads: int
    bytes: int
    seconds: float
    steps: list[Step]


class WarmedSum(Struct, frozen=True, kw_only=True):
    entries: int
    failed: int


def warming_routes(callers: Callers, cache: Cache, audit: AuditLog) -> APIRouter:
    router = admin_router(callers, "/api/system/cache")

    @router.post("/warm", responses=MISSING)
    async def warm(request: Request, form: WarmForm) -> WarmedForm:
        """Load what is named through the cache, once for all workers; what they share already stays as it is."""
        loads, size, began = *_used(cache), perf_counter()
        try:
            steps = [await warm_one(cache, *each) for each in await list_wanted(cache, form)]
        except UnknownEntity as error:
            raise GatewayzError(str(error), param="cache_type", kind=ErrorKind.NOT_FOUND) from error
        loads_after, size_after = _used(cache)
        done = sum_of(steps)
        await audit.record(act_of(request, form.reason), "cache.warm", target_of(form), done)
        return WarmedForm(
            entries=done.entries,
            failed=done.failed,
            loads=loads_after - loads,
            bytes=max(0, size_after - size),
            seconds=perf_counter() - began,
            steps=[WarmedForm.Step(**asdict(each)) for each in steps],
        )

    return router


def target_of(form: WarmForm) -> str:
    """What is warmed, in a word for the audit log."""
    if form.gateway is not None:
        return f"gateway={form.gateway}"
    return f"cache_type={form.cache_type}" if form.cache_type is not None else "all"


def sum_of(steps: Sequence[Warmed]) -> WarmedSum:
    return WarmedSum(entries=sum(each.found for each in steps), failed=sum(each.error is not None for each in steps))


async def list_wanted(cache: Cache, form: WarmForm) -> list[tuple[str, str]]:
    """Entities and keys that the form names, in the order of warming. Raises InvalidRequest."""
    if form.gateway is not None:
        if form.cache_type is not None or form.keys:
            raise InvalidRequest("'gateway' names all that is warmed: leave out the rest", param="gateway")
        return [(PROVIDER_CATALOG.name, form.gateway), *((name, "") for name in _OF_THE_CATALOG)]
    if form.cache_type is None:
        if form.keys:
            raise InvalidRequest("'keys' needs 'cache_type' beside it: say of which entity", param="keys")
        return [*((name, "") for name in _OF_THE_CATALOG), *await _providers(cache)]
    name = entity_name(form.cache_type)
    if form.keys:
        return [(name, key) for key in dict.fromkeys(form.keys)]
    return await _providers(cache) if name == PROVIDER_CATALOG.name else [(name, "")]


async def _providers(cache: Cache) -> list[tuple[str, str]]:
    catalog = await cache.get(CATALOG)
    return [(PROVIDER_CATALOG.name, each.slug) for each in (catalog.providers if catalog is not None else ())]


async def warm_one(cache: Cache, name: str, key: str) -> Warmed:
    """A source that fails makes a step that says so. Raises UnknownEntity, and InvalidRequest for a key that cannot
    be.
    """
    began = perf_counter()
    try:
        value = await cache.get_text(name, key)
    except BadKey as error:
        raise InvalidRequest(str(error), param="keys") from error
    except LoadFailed as error:
        return Warmed(entity=name, key=key, found=False, seconds=perf_counter() - began, error=str(error))
    return Warmed(entity=name, key=key, found=value is not None, seconds=perf_counter() - began)


def _used(cache: Cache) -> tuple[int, int]:
    entities = cache.stats().entities.values()
    return sum(each.counts.loads for each in entities), sum(each.bytes for each in entities)
