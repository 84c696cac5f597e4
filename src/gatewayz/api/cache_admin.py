"""The cache asked by its operator: what this worker's cache does, and why a read was not a hit. Admin key only."""

import os
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from gatewayz.accounts.scopes import ADMIN
from gatewayz.accounts.secret import holds_secret
from gatewayz.api.cache_names import LIKE_A_KEY
from gatewayz.api.callers import Callers
from gatewayz.api.openapi import ERROR, query_parameter
from gatewayz.api.parameters import Query, Text
from gatewayz.cache.cache import Cache
from gatewayz.cache.counts import Latency
from gatewayz.cache.errors import UnknownEntity
from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest

_EXPLAIN = (
    Text("entity", "The entity's name, as in the reference's list of cached entities."),
    Text("key", "The key, as the answer's `key_form` says; left out where the entity has one value.", "", 0, 1000),
)
_NO_PARAMETERS = Query(())
_REFUSALS = {
    "security": [{"bearer": []}],
    "responses": dict.fromkeys(("400", "401", "403", "503"), ERROR),
}


def cache_routes(cache: Cache, callers: Callers) -> APIRouter:
    """Every answer is of the worker that gives it, and names it by its process id."""
    router = APIRouter(tags=["cache"], prefix="/api/system/cache")
    query = Query(_EXPLAIN)

    @router.get(
        "/explain",
        openapi_extra={
            "parameters": [query_parameter(each) for each in _EXPLAIN],
            **_REFUSALS,
            "responses": dict.fromkeys(("400", "401", "403", "404", "503"), ERROR),
        },
    )
    async def explain(request: Request) -> Response:
        """What each tier holds for one key, and why a read would be a hit or not. Loads nothing. Admin key only."""
        await callers.caller(request.scope, ADMIN)
        asked = query.read(request.scope["query_string"])
        if asked["entity"] is None:
            raise InvalidRequest("'entity' is missing: name the entity, as in ?entity=models:stats", param="entity")
        if holds_secret(asked["key"]):
            raise InvalidRequest(f"'key' {LIKE_A_KEY}", param="key")
        try:
            explanation = await cache.explain_text(asked["entity"], asked["key"])
        except UnknownEntity as error:
            raise GatewayzError(str(error), param="entity", kind=ErrorKind.NOT_FOUND) from error
        return _answer(explanation)

    @router.get("/stats", openapi_extra=_REFUSALS)
    async def stats(request: Request) -> Response:
        """What this worker's cache did since its start: reads by how they ended, loads, sizes. Admin key only."""
        await callers.caller(request.scope, ADMIN)
        _NO_PARAMETERS.read(request.scope["query_string"])
        return _answer(cache.stats())

    return router


def _answer(said: object) -> Response:
    form = msgspec.to_builtins(said, enc_hook=_plain)
    return Response(
        msgspec.json.encode({"worker": os.getpid(), **form}),
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )


def _plain(value: Any) -> object:  # noqa: ANN401  whatever msgspec does not know
    if isinstance(value, Latency):
        return {"count": value.count, "total_seconds": value.total}
    raise NotImplementedError(f"{type(value).__name__!r} has no form in an answer")
