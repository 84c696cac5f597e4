"""What browsers are told: which other origins' pages may ask us, and how to take what we answer."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from gatewayz.api.answer import Headers
from gatewayz.api.config import CorsConfig

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

# FastAPI's page of the API's documents takes its script and style from this host, and holds an inline script.
_DOCS = "https://cdn.jsdelivr.net"
_PAGE_POLICY = (
    f"default-src 'none'; script-src {_DOCS} 'unsafe-inline'; style-src {_DOCS} 'unsafe-inline'; "
    "img-src 'self' data: https://fastapi.tiangolo.com; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_ANY: Headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_PRIVATE = (b"cache-control", b"no-store")
_PAGE = (b"content-security-policy", _PAGE_POLICY.encode())


def with_cors(app: ASGIApp, config: CorsConfig) -> ASGIApp:
    """The application, open to pages of the origins that settings name; itself where they name none.

    Never with credentials: a browser sends no cookie along, so what a page may do here it may do by the key it shows.
    """
    if not config.origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=config.origins,
        allow_methods=_METHODS,
        allow_headers=["*"],
        expose_headers=["*"],
        max_age=config.max_age,
    )


def guarded_headers(headers: Headers) -> Headers:
    """The headers of an answer of the control plane, and those that keep a browser from sniffing, keeping, framing or
    telling on what it shows. What an answer says itself of them stands.
    """
    said = {name.lower(): value for name, value in headers}
    own = [*_ANY, _PRIVATE]
    if said.get(b"content-type", b"").startswith(b"text/html"):
        own.append(_PAGE)
    return [*headers, *(each for each in own if each[0] not in said)]
