"""What an answer says of how it came: `Cache-Status` (RFC 9211), `X-Cache`, `Age`."""

from collections.abc import Iterable

from msgspec import Struct

from gatewayz.responses.plan import Dated
from gatewayz.responses.reasons import Reason

Headers = list[tuple[bytes, bytes]]


class Note(Struct, frozen=True, kw_only=True):
    """`word`: as it stands in usage and metrics (hit, stale, partial, collapsed, miss, bypass)."""

    word: str
    headers: Headers
    detail: str = ""


def hit(entry: Dated, now: float, tier: str) -> Note:
    """`tier`: L1 or L2, or why it is served though it is stale."""
    age = now - entry.created
    return _kept(age, entry.ttl - age, tier)


def all_hit(entries: Iterable[Dated], now: float, tier: str) -> Note:
    """As of the oldest, for as long as all are good."""
    ages = [(now - entry.created, entry.ttl) for entry in entries]
    return _kept(max(age for age, _ in ages), min(ttl - age for age, ttl in ages), tier)


def _kept(age: float, left: float, tier: str) -> Note:
    status = f"gatewayz; hit; ttl={int(left)}; detail={tier}"
    word = "hit" if tier in ("L1", "L2") else "stale"
    return Note(
        word=word,
        detail=tier,
        headers=[(b"cache-status", status.encode()), (b"x-cache", b"HIT"), (b"age", b"%d" % max(0, int(age)))],
    )


def partial(*, kept: int, collapsed: int, asked: int, is_stored: bool) -> Note:
    """Of items: how many were kept, were under way for others, and were asked for."""
    counts = [("hit", kept), ("collapsed", collapsed), ("asked", asked)]
    told = ", ".join(f"{name}={count}" for name, count in counts if count)
    words = [f"fwd={'partial' if kept else 'miss'}", *["stored"] * is_stored, *["collapsed"] * bool(collapsed)]
    return _forwarded("partial" if asked else "collapsed", f'{"; ".join(words)}; detail="{told}"')


def collapsed() -> Note:
    return _forwarded("collapsed", "fwd=miss; collapsed")


def bypass(reason: Reason) -> Note:
    return _forwarded("bypass", f"fwd=bypass; detail={reason}", reason)


def miss(fwd: str, reason: Reason, *, is_stored: bool | None = None, why_not: Reason | None = None) -> Note:
    """`fwd`: as RFC 9211 has it. `is_stored`: None where the answer has yet to come."""
    stored = "; stored" if is_stored else ""
    return _forwarded("miss", f"fwd={fwd}{stored}; detail={why_not or reason}", reason)


def _forwarded(word: str, status: str, reason: Reason | None = None) -> Note:
    headers = [(b"cache-status", f"gatewayz; {status}".encode()), (b"x-cache", b"MISS")]
    return Note(word=word, headers=headers, detail=reason or "")
