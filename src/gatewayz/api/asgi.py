"""The door: gives each request its id, sends hot paths to plain callables and the rest to the framework."""

from collections.abc import Sequence
from typing import Any, Protocol

import structlog
from starlette.types import ASGIApp

from gatewayz.api.answer import REQUEST_ID, Headers, Receive, Scope, Send, header, send_error
from gatewayz.api.at_once import AtOnce, Done
from gatewayz.api.browsers import guarded_headers
from gatewayz.api.errors import STATUS, for_client
from gatewayz.api.exchange import ClientGone
from gatewayz.api.inference_app import CHAT_PATH
from gatewayz.api.limit_headers import limit_headers
from gatewayz.cache.errors import LoadFailed
from gatewayz.core.course import Course, follow
from gatewayz.core.errors import ErrorKind, GatewayzError, unexpected
from gatewayz.core.ids import request_id
from gatewayz.limits.errors import RateLimited

CONTROL = "control"
"""The endpoint of what is not hot."""

log = structlog.get_logger("gatewayz.api")


class HotPath(Protocol):
    """A plain ASGI callable for some paths. `own_headers` must go out with whatever it answers."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods it answers; the door refuses all others."""
        ...

    def serves(self, path: str) -> bool: ...

    def endpoint(self, path: str) -> str:
        """Under which requests for a path that it serves are counted. There are few."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send, own_headers: Headers, /) -> None:
        """Answer, or raise GatewayzError before anything is sent."""
        ...


class Observer(Protocol):
    """Told of every request, at its begin and its end."""

    def began(self, course: Course, scope: Scope) -> None: ...

    def ended(self, course: Course, scope: Scope) -> None: ...


class Gateway:
    """The ASGI application."""

    def __init__(
        self, hot_paths: Sequence[HotPath], control_plane: ASGIApp, at_once: AtOnce, observer: Observer
    ) -> None:
        self._hot_paths = hot_paths
        self._at_once = at_once
        self._control_plane = control_plane
        self._observer = observer

    def may_be_at_hand(self, scope: Scope) -> bool:
        """Whether to ask `at_once` when the body is there."""
        return bool(scope["path"] == CHAT_PATH and scope["method"] == "POST")

    def at_once(self, scope: Scope, body: bytes, done: Done) -> bool:
        """As AtOnce.answer."""
        course = Course(_request_id(scope))
        course.endpoint = CHAT_PATH

        def answered(answer: bytes | None) -> None:
            done(answer)
            if answer is not None:
                self._observer.began(course, scope)
                self._observer.ended(course, scope)

        return self._at_once.answer(scope, body, course, answered)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._control_plane(scope, receive, send)
            return
        course = Course(_request_id(scope))
        self._observer.began(course, scope)
        follow(course)
        try:
            await self._answer(course, scope, receive, send)
        finally:
            self._observer.ended(course, scope)

    async def _answer(self, course: Course, scope: Scope, receive: Receive, send: Send) -> None:
        own_headers: Headers = [(REQUEST_ID, course.request_id.encode())]
        path: str = scope["path"]
        for hot_path in self._hot_paths:
            if hot_path.serves(path):
                course.endpoint = hot_path.endpoint(path)
                if scope["method"] in hot_path.methods:
                    await _guarded(hot_path, scope, receive, send, own_headers, course)
                else:
                    course.status = STATUS[ErrorKind.METHOD_NOT_ALLOWED]
                    await _refuse_method(scope, send, hot_path.methods, own_headers)
                return
        course.endpoint = CONTROL
        await self._control_plane(scope, receive, _with_headers(send, own_headers, course))


def _request_id(scope: Scope) -> str:
    offered = header(scope, REQUEST_ID)
    return request_id(offered.decode("latin-1") if offered else None)


async def _guarded(  # noqa: PLR0917  ASGI's three, and what belongs to the request
    hot_path: HotPath, scope: Scope, receive: Receive, send: Send, own_headers: Headers, course: Course
) -> None:
    """The request edge: every error becomes an answer, unless an answer has begun; then the connection is cut."""

    async def watched(message: Any) -> None:  # noqa: ANN401  an ASGI message
        if not course.status:
            course.began_to_answer(message["status"])
        await send(message)

    try:
        await hot_path(scope, receive, watched, own_headers)
    except ClientGone:
        return
    except (GatewayzError, LoadFailed) as error:
        if course.status:
            course.is_cut = True
            raise
        if not isinstance(error, GatewayzError) and not isinstance(error.__cause__, GatewayzError):
            log.exception("load_failed", path=scope["path"], request_id=course.request_id)
        if isinstance(error, RateLimited):
            own_headers += limit_headers(error.standings, is_local=error.is_local)
        await _refuse(watched, for_client(error), own_headers, course, scope["path"])
    except Exception:
        log.exception("request_failed", path=scope["path"], request_id=course.request_id)
        if course.status:
            course.is_cut = True
            raise
        await _refuse(watched, unexpected(), own_headers, course, scope["path"])


async def _refuse(send: Send, error: GatewayzError, own_headers: Headers, course: Course, path: str) -> None:
    course.code = error.kind
    await send_error(send, error, headers=own_headers, path=path)


async def _refuse_method(scope: Scope, send: Send, allowed: Sequence[str], own_headers: Headers) -> None:
    methods = ", ".join(allowed)
    error = GatewayzError(
        f"{scope['method']} is not allowed on {scope['path']!r}, only {methods}", kind=ErrorKind.METHOD_NOT_ALLOWED
    )
    await send_error(send, error, headers=[(b"allow", methods.encode()), *own_headers], path=scope["path"])


def _with_headers(send: Send, own_headers: Headers, course: Course) -> Send:
    async def sending(message: Any) -> None:  # noqa: ANN401  an ASGI message
        if message["type"] == "http.response.start":
            course.began_to_answer(message["status"])
            message = {**message, "headers": [*guarded_headers(message.get("headers", [])), *own_headers]}
        await send(message)

    return sending
