"""The framework's part: the OpenAPI document, and every path that is not hot."""

from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from gatewayz import __version__
from gatewayz.api.catalog import CatalogRoute
from gatewayz.api.errors import STATUS, error_body, error_headers, for_client
from gatewayz.api.openapi import SECURITY_SCHEMES, hot_paths_document
from gatewayz.cache.errors import LoadFailed
from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest, unexpected

log = structlog.get_logger("gatewayz.api")

_KINDS = {404: ErrorKind.NOT_FOUND, 405: ErrorKind.METHOD_NOT_ALLOWED}


def control_plane(
    routers: Sequence[APIRouter],
    catalog_routes: Sequence[CatalogRoute],
) -> FastAPI:
    app = FastAPI(
        title="gatewayz",
        version=__version__,
        summary="One OpenAI-compatible API in front of many model providers.",
        redoc_url=None,
    )
    for router in routers:
        app.include_router(router)

    _document_hot_paths(app, catalog_routes)
    _answer_errors(app)
    return app


def _document_hot_paths(app: FastAPI, catalog_routes: Sequence[CatalogRoute]) -> None:
    """Hot paths are not the framework's, so their part of the OpenAPI document is added to its own."""
    own = app.openapi

    def document() -> dict[str, Any]:
        complete = own()
        complete["paths"] = {**hot_paths_document(catalog_routes), **complete["paths"]}
        for operation in (each for methods in complete["paths"].values() for each in methods.values()):
            operation["responses"].pop("422", None)  # the framework's own form of a refusal: ours is 400
        for name in ("HTTPValidationError", "ValidationError"):
            complete.get("components", {}).get("schemas", {}).pop(name, None)
        complete.setdefault("components", {})["securitySchemes"] = SECURITY_SCHEMES
        return complete

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(GatewayzError)
    async def known(_request: Request, error: GatewayzError) -> Response:
        return _answer(error)

    @app.exception_handler(RequestValidationError)
    async def not_understood(_request: Request, error: RequestValidationError) -> Response:
        return _answer(_first_of(error))

    @app.exception_handler(LoadFailed)
    async def not_loaded(request: Request, error: LoadFailed) -> Response:
        if not isinstance(error.__cause__, GatewayzError):
            log.error("load_failed", path=request.url.path, exc_info=error)
        return _answer(for_client(error))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        kind = _KINDS.get(error.status_code, ErrorKind.INVALID_REQUEST)
        answer = _answer(
            GatewayzError(f"{request.method} {request.url.path!r}: {error.detail}; /docs lists every path", kind=kind)
        )
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def failed(_request: Request, _error: Exception) -> Response:
        return _answer(unexpected())  # the framework raises it again for the log


def _first_of(error: RequestValidationError) -> InvalidRequest:
    """What is wrong first, by the field's name. The value itself is not repeated."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return InvalidRequest(f"the request body is not JSON: {first['ctx']['error']}")
    where = ".".join(map(str, first["loc"][1:]))
    if not where:
        return InvalidRequest(f"the {first['loc'][0]} of the request: {first['msg']}")
    if first["type"] == "extra_forbidden":
        return InvalidRequest(f"there is no field {where[:80]!r} here", param=where[:80])
    return InvalidRequest(f"{where[:80]!r}: {first['msg']}", param=where[:80])


def _answer(error: GatewayzError) -> Response:
    return Response(error_body(error), STATUS[error.kind], headers=error_headers(error), media_type="application/json")
