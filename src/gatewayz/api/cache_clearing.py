"""Make the cache forget, in every worker before it answers. Admin key only."""

import re
from collections.abc import Collection
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from gatewayz.api.admin.forms import Form, Reason
from gatewayz.api.admin.route import MISSING, act_of, admin_router
from gatewayz.api.cache_names import Name, entity_name, family_prefix
from gatewayz.api.callers import Callers
from gatewayz.cache.cache import Cache
from gatewayz.cache.errors import UnknownEntity
from gatewayz.cache.invalidation import Cleared
from gatewayz.cache.scope import tag_of
from gatewayz.catalog.repository import CATALOG, PROVIDER_CATALOG
from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest
from gatewayz.inference.preferences import check_slug
from gatewayz.storage.audit import Act, AuditLog

_AIMS = ("cache_type", "gateway", "tag", "account", "model", "prefix")
_DIGEST_OR_ID = re.compile("[0-9]{1,19}|[0-9a-f]{64}")


class ClearForm(Form):
    """One of `cache_type` (an entity, with `key` one value of it, or a family such as `auth`), `gateway`, `tag`,
    `account`, `model`, `prefix` (of entities' names) and `older_than` (Unix seconds when a value was loaded, of all or
    of those of `cache_type` or `prefix`).
    """

    cache_type: Name | None = None
    key: Name | None = None
    gateway: Name | None = None
    tag: Name | None = None
    account: int | None = Field(None, ge=1)
    model: Name | None = None
    prefix: Name | None = None
    older_than: float | None = Field(None, ge=0)
    reason: Reason = None


class ClearedForm(Form):
    """`cleared`: the entities, or the tag. `entries`, `bytes`: what the memory of the worker that answers held of them.
    `shared`: how many single values went from Redis; whole entities and tags die there in one step, however many they
    are. `everywhere`: all workers know.
    """

    cleared: tuple[str, ...]
    entries: int
    bytes: int
    shared: int
    seconds: float
    everywhere: bool


def clearing_routes(callers: Callers, cache: Cache, audit: AuditLog, configured: Collection[str]) -> APIRouter:
    """`configured`: the slugs of providers that settings name."""
    router = admin_router(callers, "/api/system/cache")

    @router.post("/clear", responses=MISSING)
    async def clear(request: Request, form: ClearForm, gateway: Annotated[Name | None, Query()] = None) -> ClearedForm:
        """Forget what is kept of a gateway, under a key, a tag, an account, a model, a kind, or since before a time."""
        if gateway is not None:
            if form.gateway is not None:
                raise InvalidRequest("'gateway' stands in the query and in the body: leave one out", param="gateway")
            form = form.model_copy(update={"gateway": gateway})
        try:
            return await clear_noted(cache, audit, form, configured, act_of(request, form.reason))
        except UnknownEntity as error:
            raise GatewayzError(str(error), param="cache_type", kind=ErrorKind.NOT_FOUND) from error

    return router


async def clear_noted(
    cache: Cache, audit: AuditLog, form: ClearForm, configured: Collection[str], act: Act
) -> ClearedForm:
    """Returns once no worker serves what the form names, and the audit log says so. Raises InvalidRequest and
    UnknownEntity.
    """
    cleared = await _clear(cache, form, configured)
    await audit.record(act, "cache.clear", _target(form), cleared)
    return ClearedForm(
        cleared=tuple(tag_of(name) or name for name in cleared.entities),
        entries=cleared.entries,
        bytes=cleared.bytes,
        shared=cleared.shared,
        seconds=cleared.seconds,
        everywhere=cleared.everywhere,
    )


def _target(form: ClearForm) -> str:
    """What is cleared, in a word for the audit log. What stands in the place of a digest may be the
    secret itself.
    """
    said = form.model_dump(exclude_none=True, exclude={"reason"})
    is_of_auth = form.cache_type is not None and form.cache_type.startswith("auth")
    if is_of_auth and form.key is not None and _DIGEST_OR_ID.fullmatch(form.key) is None:
        said["key"] = f"sha256:{sha256(form.key.encode()).hexdigest()[:16]}"
    return " ".join(f"{name}={value}" for name, value in said.items())


async def _clear(cache: Cache, form: ClearForm, configured: Collection[str]) -> Cleared:
    _check(form)
    await _check_gateway(cache, form, configured)
    tag = form.tag
    if form.account is not None:
        tag = f"account:{form.account}"
    elif form.model is not None:
        tag = f"model:{form.model}"
    if tag is not None:
        return await cache.invalidate_tag(tag)
    if form.gateway is not None:
        return await cache.invalidate_text(PROVIDER_CATALOG.name, form.gateway)
    family = None if form.cache_type is None else family_prefix(form.cache_type)
    if family is None and form.cache_type is not None:
        name = entity_name(form.cache_type)
        if form.older_than is None:
            return await cache.invalidate_text(name, form.key)
        return await cache.clear(name, older_than=form.older_than)
    if form.key is not None:
        raise InvalidRequest(f"{form.cache_type!r} is a family: name the entity whose key it is", param="key")
    return await cache.clear(family or form.prefix or "", older_than=form.older_than)


async def _check_gateway(cache: Cache, form: ClearForm, configured: Collection[str]) -> None:
    """A slug that nobody has clears nothing, and who mistyped it would take its answer for the one that was meant."""
    field, slug = "gateway", form.gateway
    if form.cache_type is not None and entity_name(form.cache_type) == PROVIDER_CATALOG.name:
        field, slug = "key", form.key
    if slug is None or slug in configured:
        return
    catalog = await cache.get(CATALOG)
    check_slug(slug, field, {*configured, *(each.slug for each in (catalog.providers if catalog is not None else ()))})


def _check(form: ClearForm) -> None:
    aims = [name for name in _AIMS if getattr(form, name) is not None]
    if len(aims) > 1:
        raise InvalidRequest(f"{aims[0]!r} and {aims[1]!r} name two things: clear one after the other", param=aims[1])
    if form.key is not None and (form.cache_type is None or form.older_than is not None):
        raise InvalidRequest("'key' needs 'cache_type' beside it, and no more", param="key")
    if form.older_than is not None and aims and aims[0] not in ("cache_type", "prefix"):
        raise InvalidRequest(
            f"'older_than' goes with 'cache_type' or 'prefix', not with {aims[0]!r}", param="older_than"
        )
    if not aims and form.older_than is None:
        raise InvalidRequest(f"name what to clear: {', '.join(map(repr, _AIMS))} or 'older_than'", param="cache_type")
