"""Routes for whoever has a key: the key is looked at first, then the query, then a body of a bounded size."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from gatewayz.accounts.model import Principal
from gatewayz.accounts.scopes import ADMIN
from gatewayz.api.callers import Callers
from gatewayz.api.exchange import ClientGone, read_body
from gatewayz.api.openapi import ERROR
from gatewayz.api.parameters import unknown_name
from gatewayz.core.errors import InvalidRequest
from gatewayz.storage.audit import Act

MOST_BODY_BYTES = 1024 * 1024

Responses = dict[int | str, dict[str, Any]]
MISSING: Responses = {404: ERROR}
CONFLICTING: Responses = {409: ERROR}
MISSING_OR_CONFLICTING: Responses = {**MISSING, **CONFLICTING}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_GONE = 499


def keyed_router(callers: Callers, scope: str | None, *, tag: str, prefix: str = "") -> APIRouter:
    """A router of which every route wants a valid key that has the scope, and says so in the OpenAPI document."""

    class Keyed(APIRoute):
        def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  the framework's own
            options["openapi_extra"] = {"security": [{"bearer": []}], **(options.get("openapi_extra") or {})}
            super().__init__(*arguments, **options)

        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()
            known = [field.alias for field in self.dependant.query_params]

            async def keyed(request: Request) -> Response:
                request.state.caller = await callers.caller(request.scope, scope)
                _check_query(request, known)
                try:
                    body = await read_body(request.scope, request.receive, MOST_BODY_BYTES)
                except ClientGone:
                    return Response(status_code=_GONE)
                return await handle(Request(request.scope, _holding(body)))

            return keyed

    statuses = ("400", "401", "403", "413", "429", "503")
    return APIRouter(
        tags=[tag],
        prefix=prefix,
        route_class=Keyed,
        responses=dict.fromkeys(statuses, ERROR),
    )


def admin_router(callers: Callers, prefix: str) -> APIRouter:
    return keyed_router(callers, ADMIN, tag="admin", prefix=prefix)


def caller_of(request: Request) -> Principal:
    caller: Principal = request.state.caller
    return caller


def act_of(request: Request, reason: str | None = None) -> Act:
    """Who does what the request asks for."""
    return Act(caller_of(request).key_id, reason)


def _check_query(request: Request, known: list[str]) -> None:
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            raise InvalidRequest(unknown_name("query parameter", name, known), param=name)
        if given.count(name) > 1:
            raise InvalidRequest(f"{name!r} is given more than once", param=name)


def _holding(body: bytes) -> Callable[[], Coroutine[Any, Any, dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
