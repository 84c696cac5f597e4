"""Claims and kept answers in the database, where nothing short of its loss forgets them."""

from collections.abc import Collection

from msgspec import Struct

from gatewayz.core.ids import ApiKeyId
from gatewayz.idempotency.model import Claim, KeptAnswer, Once
from gatewayz.storage.database import Database

# The row is ours where there was none, where it is too old, or where whoever ran it let it go or died; then its
# generation stays.
_CLAIM = """
INSERT INTO idempotent_requests AS r (key_id, name, fingerprint, generation, token, claimed_until, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6), now() + make_interval(secs => $7))
ON CONFLICT (key_id, name) DO UPDATE SET
    fingerprint = excluded.fingerprint,
    generation = CASE WHEN r.expires_at <= now() THEN excluded.generation ELSE r.generation END,
    token = excluded.token,
    claimed_until = excluded.claimed_until,
    expires_at = excluded.expires_at,
    content_type = NULL,
    body = NULL
WHERE r.expires_at <= now()
   OR (r.body IS NULL AND r.claimed_until <= now() AND r.fingerprint = excluded.fingerprint)
RETURNING generation
"""
_FOUND = """
SELECT fingerprint, content_type, body FROM idempotent_requests WHERE key_id = $1 AND name = $2
"""
_KEEP = """
UPDATE idempotent_requests SET content_type = $4, body = $5, expires_at = now() + make_interval(secs => $6)
WHERE key_id = $1 AND name = $2 AND token = $3
"""
_RELEASE = """
UPDATE idempotent_requests SET claimed_until = now() WHERE key_id = $1 AND name = $2 AND token = $3 AND body IS NULL
"""
_RENEW = """
UPDATE idempotent_requests SET claimed_until = now() + make_interval(secs => $2)
WHERE token = ANY($1) AND body IS NULL
"""
_FORGET = """
DELETE FROM idempotent_requests WHERE (key_id, name) IN (
    SELECT key_id, name FROM idempotent_requests WHERE expires_at <= now() LIMIT $1
) RETURNING true
"""
_FORGOTTEN_AT_ONCE = 1000


class Found(Struct, frozen=True):
    """Whose row stands there, where it is not ours."""

    fingerprint: bytes
    answer: KeptAnswer | None


class IdempotencyRepository:
    """`claim_lasts`, `keep`: seconds."""

    def __init__(self, database: Database, *, claim_lasts: float, keep: float) -> None:
        self._database = database
        self._claim_lasts = claim_lasts
        self._keep = keep

    async def claim(self, once: Once, *, generation: str, token: str) -> Claim | Found | None:
        """None where the row that stood in the way is gone by now: ask again."""
        mine: str | None = await self._database.fetch_value(
            _CLAIM, once.key_id, once.name, once.fingerprint, generation, token, self._claim_lasts, self._keep
        )
        if mine is not None:
            return Claim(once, mine, token)
        return await self._find(once.key_id, once.name)

    async def keep(self, claim: Claim, answer: KeptAnswer) -> None:
        """Nothing happens where the claim has passed to another."""
        once = claim.once
        await self._database.execute(
            _KEEP, once.key_id, once.name, claim.token, answer.content_type, answer.body, self._keep
        )

    async def release(self, claim: Claim) -> None:
        await self._database.execute(_RELEASE, claim.once.key_id, claim.once.name, claim.token)

    async def renew(self, tokens: Collection[str]) -> None:
        await self._database.execute(_RENEW, list(tokens), self._claim_lasts)

    async def forget_expired(self) -> int:
        """Delete what is no longer kept, a thousand rows at a time; returns how many."""
        forgotten = 0
        while rows := await self._database.fetch(_FORGET, _FORGOTTEN_AT_ONCE):
            forgotten += len(rows)
        return forgotten

    async def _find(self, key_id: ApiKeyId, name: str) -> Found | None:
        row = await self._database.fetch_row(_FOUND, key_id, name)
        if row is None:
            return None
        kept = None if row["body"] is None else KeptAnswer(row["content_type"], row["body"])
        return Found(row["fingerprint"], kept)
