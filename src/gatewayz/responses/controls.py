"""What a request says of the cache: by `Cache-Control`, by the body's `cache`, or as other gateways' clients say it."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gatewayz.core.errors import InvalidRequest

LONGEST_TTL = 30 * 86_400.0
MOST_BUCKETS = 100
MOST_TAGS = 16
_NAME = re.compile(r"[\x21-\x7e]{1,200}")
_TAG = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_SECONDS = re.compile(r"[0-9]{1,10}")


class Controls(Struct, frozen=True, kw_only=True):
    """Times are seconds; None where nothing was said.

    `may_read`, `may_store`: whether an answer that is kept will do, and whether this one may be kept. `only_if_cached`:
    nobody shall be asked. `max_age`: how old an answer may be. `max_stale`: for how long it may have been too old.
    `stale_if_error`: the same, where no provider answers. `ttl`: for how long the answer is good. `buckets`: how many
    answers to keep, of which one is given at random.
    """

    may_read: bool = True
    may_store: bool = True
    only_if_cached: bool = False
    max_age: float | None = None
    max_stale: float | None = None
    stale_if_error: float | None = None
    ttl: float | None = None
    namespace: str = ""
    tags: tuple[str, ...] = ()
    buckets: int = 1


DEFAULT = Controls()

Changes = dict[str, Any]
"""Fields of Controls that a header, a directive or a member sets."""
Read = Callable[[str, Any], Changes]
"""Makes changes of a value; the first argument is the name to blame. Raises InvalidRequest."""

_OFF: Changes = {"may_read": False, "may_store": False}


def _bad(name: str, expected: str) -> InvalidRequest:
    return InvalidRequest(f"{name!r} must be {expected}", param=name)


def _flag(changes: Changes, otherwise: Changes | None = None) -> Read:
    """`changes` for true, `otherwise` for false."""

    def read(name: str, value: Any) -> Changes:  # noqa: ANN401  any JSON
        said = value.strip().lower() if isinstance(value, str) else value
        if said in ("true", "1") or said is True:
            return changes
        if said in ("false", "0") or said is False:
            return otherwise or {}
        raise _bad(name, "true or false")

    return read


def _seconds(field: str, *, least: int = 0) -> Read:
    def read(name: str, value: Any) -> Changes:  # noqa: ANN401  any JSON
        if isinstance(value, str) and _SECONDS.fullmatch(value.strip()):
            value = int(value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value <= LONGEST_TTL:
            raise _bad(name, f"a number of seconds from {least} to {LONGEST_TTL:.0f}")
        return {field: float(value)}

    return read


def _namespace(name: str, value: Any) -> Changes:  # noqa: ANN401  any JSON
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _bad(name, "1 to 200 printable ASCII characters without spaces")
    return {"namespace": value}


def _tags(name: str, value: Any) -> Changes:  # noqa: ANN401  any JSON
    tags = value if isinstance(value, list) else []
    if not tags or len(tags) > MOST_TAGS or not all(isinstance(tag, str) and _TAG.fullmatch(tag) for tag in tags):
        raise _bad(name, f"a list of 1 to {MOST_TAGS} names of at most 64 letters, digits, and the signs _ . : -")
    return {"tags": tuple(dict.fromkeys(tags))}


def _buckets(name: str, value: Any) -> Changes:  # noqa: ANN401  any JSON
    if isinstance(value, str) and _SECONDS.fullmatch(value.strip()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_BUCKETS:
        raise _bad(name, f"a whole number from 1 to {MOST_BUCKETS}")
    return {"buckets": value}


_DIRECTIVES: Mapping[str, Read] = {
    "no-cache": lambda _name, _value: {"may_read": False},
    "no-store": lambda _name, _value: {"may_store": False},
    "only-if-cached": lambda _name, _value: {"only_if_cached": True},
    "max-age": _seconds("max_age"),
    "max-stale": lambda name, value: (
        {"max_stale": math.inf} if value is None else _seconds("max_stale")(name, value)
    ),
    "stale-if-error": lambda name, value: (
        {"stale_if_error": math.inf} if value is None else _seconds("stale_if_error")(name, value)
    ),
}  # fmt: skip


def _cache_control(name: str, value: str) -> Changes:
    """RFC 9111: directives that nobody knows are passed over."""
    changes: Changes = {}
    for part in value.split(","):
        directive, has_value, said = part.strip().partition("=")
        read = _DIRECTIVES.get(directive.strip().lower())
        if read is not None:
            blamed = f"{name}: {directive.strip().lower()}"
            changes |= read(blamed, said.strip().strip('"') if has_value else None)
    return changes


_BODY: Mapping[str, Read] = {
    "ttl": _seconds("ttl", least=1),
    "s-maxage": _seconds("max_age"),
    "no-cache": _flag({"may_read": False}),
    "no-store": _flag({"may_store": False}),
    "namespace": _namespace,
    "tags": _tags,
    "buckets": _buckets,
}

ALIASES: Mapping[str, Read] = {
    "X-OpenRouter-Cache": _flag({}, _OFF),
    "X-OpenRouter-Cache-Clear": _flag({"may_read": False}),
    "X-OpenRouter-Cache-TTL": _seconds("ttl", least=1),
    "cf-aig-skip-cache": _flag(_OFF),
    "cf-aig-cache-ttl": _seconds("ttl", least=1),
    "cf-aig-cache-key": _namespace,
    "x-portkey-cache-force-refresh": _flag({"may_read": False}),
    "x-portkey-cache-namespace": _namespace,
    "Helicone-Cache-Enabled": _flag({}, _OFF),
    "Helicone-Cache-Bucket-Max-Size": _buckets,
    "Helicone-Cache-Seed": _namespace,
}
"""Headers by which clients of other gateways say the same. A key of one's own sets entries apart, and never makes one
entry of requests that differ.
"""

_HEADERS: Mapping[bytes, tuple[str, Read]] = {
    name.lower().encode(): (name, read) for name, read in {**ALIASES, "Cache-Control": _cache_control}.items()
}

CONTROL_HEADERS = frozenset(_HEADERS)
"""In lower case. A request without any of them, nor `cache` in its body, says nothing of the cache."""


def controls_of(headers: Iterable[tuple[bytes, bytes]], cache: object) -> Controls:
    """`headers` with their names in lower case, as ASGI has them; `cache`: the body's member, None without one. What
    the body says goes before the headers, and `Cache-Control` before the others. Raises InvalidRequest.
    """
    said = [(name, value) for name, value in headers if name in _HEADERS]
    if not said and cache is None:
        return DEFAULT
    changes: Changes = {}
    for name, value in sorted(said, key=lambda each: each[0] == b"cache-control"):
        shown, read = _HEADERS[name]
        changes = _with(changes, read(shown, value.decode("latin-1")))
    return replace(DEFAULT, **_with(changes, _body(cache)))


def _with(changes: Changes, later: Changes) -> Changes:
    """What was forbidden stays so."""
    forbidden = {name: False for name in ("may_read", "may_store") if changes.get(name, True) is False}
    return changes | later | forbidden


def _body(cache: Any) -> Changes:  # noqa: ANN401  any JSON
    if cache is None or cache is True:
        return {}
    if cache is False:
        return _OFF
    if not isinstance(cache, dict):
        raise _bad("cache", 'an object such as {"ttl": 600}, or false')
    changes: Changes = {}
    for name, value in cache.items():
        read = _BODY.get(name)
        if read is None:
            known = ", ".join(_BODY)
            raise InvalidRequest(
                f"'cache' has no member {name[:40]!r}; it may have {known}", param=f"cache.{name[:40]}"
            )
        if value is not None:
            changes = _with(changes, read(f"cache.{name}", value))
    return changes
