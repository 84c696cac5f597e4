"""The dashboard: its page, its files, and the sign-in. What it shows comes from the gateway's other routes."""

import mimetypes
from hashlib import blake2b
from pathlib import Path

from fastapi import APIRouter, Request, Response
from msgspec import Struct

from gatewayz.accounts.scopes import ADMIN
from gatewayz.api.callers import Callers, presented_key
from gatewayz.core.errors import ErrorKind, GatewayzError
from gatewayz.dashboard.sessions import COOKIE, LASTS, DashboardSessions

_STATIC = Path(__file__).parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "public, max-age=0, must-revalidate",
}


class _File(Struct, frozen=True):
    body: bytes
    media_type: str
    etag: str

    def answer(self, request: Request) -> Response:
        headers = {**_HEADERS, "etag": self.etag}
        if request.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers=headers)
        return Response(self.body, media_type=self.media_type, headers=headers)


def dashboard_routes(callers: Callers, sessions: DashboardSessions) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    files = {path.name: _read(path) for path in sorted(_STATIC.iterdir()) if path.is_file()}

    @router.get("/dashboard")
    async def page(request: Request) -> Response:
        return files["index.html"].answer(request)

    @router.get("/dashboard/static/{name}")
    async def file(request: Request, name: str) -> Response:
        if name not in files:
            raise GatewayzError(f"the dashboard has no file {name[:80]!r}", kind=ErrorKind.NOT_FOUND)
        return files[name].answer(request)

    @router.post("/dashboard/session")
    async def sign_in(request: Request, response: Response) -> dict[str, str]:
        """Trade an admin key, shown as everywhere, for a session."""
        await callers.caller(request.scope, ADMIN)
        key = presented_key(request.scope)
        if not key:
            raise GatewayzError(
                "a session begins with an admin key, not with another session", kind=ErrorKind.INVALID_REQUEST
            )
        begun = sessions.begin(key)
        response.set_cookie(
            COOKIE, begun.cookie, max_age=LASTS, path="/", httponly=True, samesite="strict", secure=_is_https(request)
        )
        return {"token": begun.token}

    @router.delete("/dashboard/session")
    async def sign_out(request: Request) -> Response:
        await callers.caller(request.scope, ADMIN)
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_is_https(request))
        return answer

    return router


def _read(path: Path) -> _File:
    body = path.read_bytes()
    media_type = mimetypes.types_map.get(path.suffix, "application/octet-stream")
    return _File(body, media_type, f'"{blake2b(body, digest_size=16).hexdigest()}"')


def _is_https(request: Request) -> bool:
    """As the client saw it. Anybody may claim so: a false claim keeps but their own browser from sending the cookie."""
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
