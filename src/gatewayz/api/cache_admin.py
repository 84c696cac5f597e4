"""The cache asked by its operator: what the caches of all workers did, and why a read was not a hit. Admin key only."""

import asyncio
import os

import msgspec
from fastapi import APIRouter, Request, Response

from gatewayz.accounts.scopes import ADMIN
from gatewayz.accounts.secret import holds_secret
from gatewayz.api.admin.route import admin_router
from gatewayz.api.cache_figures import figures_of
from gatewayz.api.cache_forms import StatsForm
from gatewayz.api.cache_names import LIKE_A_KEY
from gatewayz.api.callers import Callers
from gatewayz.api.openapi import ERROR, query_parameter
from gatewayz.api.parameters import Query, Text
from gatewayz.cache.cache import Cache
from gatewayz.cache.errors import UnknownEntity
from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest
from gatewayz.telemetry.fleet_metrics import FleetMetrics
from gatewayz.telemetry.siblings import Siblings

_EXPLAIN = (
    Text("entity", "The entity's name, as in the reference's list of cached entities."),
    Text("key", "The key, as the answer's `key_form` says; left out where the entity has one value.", "", 0, 1000),
)


def explaining_routes(cache: Cache, callers: Callers) -> APIRouter:
    """The answer is of the worker that gives it, and names it by its process id."""
    router = APIRouter(tags=["cache"], prefix="/api/system/cache")
    query = Query(_EXPLAIN)

    @router.get(
        "/explain",
        openapi_extra={
            "parameters": [query_parameter(each) for each in _EXPLAIN],
            "security": [{"bearer": []}],
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
        return Response(
            msgspec.json.encode({"worker": os.getpid(), **msgspec.to_builtins(explanation)}),
            media_type="application/json",
            headers={"cache-control": "no-store"},
        )

    return router


def stats_routes(callers: Callers, cache: Cache, metrics: FleetMetrics, siblings: Siblings) -> APIRouter:
    """Whichever worker is asked, the figures are those of all: they are the metrics that `/metrics` tells."""
    router = admin_router(callers, "/api/system/cache")

    @router.get("/stats")
    async def stats(response: Response) -> StatsForm:
        """What the caches of all workers did, by entity and tier: reads by how they ended, ages, sizes, savings."""
        response.headers["cache-control"] = "no-store"
        together, census = await asyncio.gather(metrics.together(siblings), cache.census())
        figures = await asyncio.to_thread(figures_of, together, census, has_redis=cache.has_redis)
        return StatsForm(worker=os.getpid(), **dict(figures))

    return router
