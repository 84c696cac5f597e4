"""Health: whether the process lives (no I/O) and whether traffic is welcome (database, Redis, catalog)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from gatewayz.api.answer import JSON, Headers, Receive, Scope, Send, send_answer

_ALIVE = b'{"status":"ok"}'
_ALIVE_LENGTH = (b"content-length", str(len(_ALIVE)).encode())

# Each returns None when all is well, else the reason why not.
Check = Callable[[], Awaitable[str | None]]


LIVE_PATH = "/health"


class LiveApp:
    """GET /health: the process runs. Does no I/O."""

    methods = ("GET", "HEAD")

    def serves(self, path: str) -> bool:
        return path == LIVE_PATH

    def endpoint(self, path: str) -> str:
        return path

    async def __call__(self, scope: Scope, _receive: Receive, send: Send, own_headers: Headers) -> None:
        body = b"" if scope["method"] == "HEAD" else _ALIVE
        await send_answer(send, 200, [JSON, _ALIVE_LENGTH, *own_headers], body)


def health_routes(checks: Mapping[str, Check], required: frozenset[str]) -> APIRouter:
    """`required`: checks without which no traffic is welcome; the others are reported only."""
    router = APIRouter(tags=["health"])

    @router.head("/health/ready", include_in_schema=False)
    @router.get("/health/ready", response_model=None)
    async def ready() -> JSONResponse:
        """200 when traffic is welcome; 503 with the reasons when not."""
        reasons = {name: await check() for name, check in checks.items()}
        failed = {name for name, reason in reasons.items() if reason is not None}
        is_ready = not failed & required
        status = "ok" if not failed else ("degraded" if is_ready else "unavailable")
        body: dict[str, Any] = {
            "status": status,
            "checks": {
                name: {"status": "ok"} if reason is None else {"status": "failed", "reason": reason}
                for name, reason in reasons.items()
            },
        }
        return JSONResponse(body, status_code=200 if is_ready else 503)

    return router
