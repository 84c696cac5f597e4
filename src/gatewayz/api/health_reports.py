"""GET /health/…: what is told of providers and models to anybody, and of the system to whoever has the admin key."""

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Struct

from gatewayz.accounts.scopes import ADMIN
from gatewayz.api.callers import Callers
from gatewayz.api.openapi import ERROR
from gatewayz.api.parameters import Query
from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity
from gatewayz.health import repository

_NO_PARAMETERS = Query(())


class _Report(Struct, frozen=True):
    """`is_public`: told to anybody, as it says nothing of what stands behind the gateway, nor how much is asked."""

    path: str
    entity: Entity[tuple[()], Any]
    words: str
    is_public: bool


_REPORTS = (
    _Report("/health/summary", repository.SUMMARY, "How many providers and models are well.", is_public=True),
    _Report("/health/providers", repository.PROVIDERS, "How each configured provider fares, and why.", is_public=True),
    _Report("/health/models", repository.MODELS, "How models fare that were asked for lately.", is_public=True),
    _Report("/health/gateways", repository.GATEWAYS, "Every provider's status, configured or not.", is_public=True),
    _Report(
        "/health/system",
        repository.SYSTEM,
        "Database, Redis, cache, catalog and workers, as one worker sees them. Admin key only.",
        is_public=False,
    ),
    _Report(
        "/health/dashboard", repository.DASHBOARD, "All of it in one, with traffic. Admin key only.", is_public=False
    ),
)


def health_report_routes(cache: Cache, callers: Callers) -> APIRouter:
    router = APIRouter(tags=["health"])
    for report in _REPORTS:
        _add(router, report, cache, callers)
    return router


def _add(router: APIRouter, report: _Report, cache: Cache, callers: Callers) -> None:
    statuses = ("400", "503") if report.is_public else ("400", "401", "403", "429", "503")
    security: dict[str, Any] = {} if report.is_public else {"security": [{"bearer": []}]}

    async def told(request: Request) -> Response:
        if not report.is_public:
            await callers.caller(request.scope, ADMIN)
        _NO_PARAMETERS.read(request.scope["query_string"])
        body = msgspec.json.encode(await cache.get(report.entity))
        return Response(body, media_type="application/json", headers={"cache-control": "no-store"})

    router.add_api_route(
        report.path,
        told,
        methods=["GET"],
        summary=report.words,
        name=report.path.rpartition("/")[2],
        responses=dict.fromkeys(statuses, ERROR),
        openapi_extra=security,
    )
