"""What an answer says of how it came: `Cache-Status` (RFC 9211), `X-Cache`, `Age`."""

from msgspec import Struct

from gatewayz.responses.answer import CachedAnswer
from gatewayz.responses.reasons import Reason

Headers = list[tuple[bytes, bytes]]


class Note(Struct, frozen=True, kw_only=True):
    """`word`: as it stands in usage and metrics (hit, stale, collapsed, miss, bypass)."""

    word: str
    headers: Headers
    detail: str = ""


def hit(entry: CachedAnswer, now: float, tier: str) -> Note:
    """`tier`: L1 or L2, or why it is served though it is stale."""
    age = max(0, int(now - entry.created))
    left = int(entry.ttl - (now - entry.created))
    status = f"gatewayz; hit; ttl={left}; detail={tier}"
    word = "hit" if tier in ("L1", "L2") else "stale"
    return Note(
        word=word,
        detail=tier,
        headers=[(b"cache-status", status.encode()), (b"x-cache", b"HIT"), (b"age", str(age).encode())],
    )


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
