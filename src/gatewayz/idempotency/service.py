"""`Idempotency-Key`: however often a request is sent, it runs once, and its answer is given each time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b

import structlog

from gatewayz.core.errors import GatewayzError, InvalidRequest
from gatewayz.core.ids import ApiKeyId, random_id
from gatewayz.idempotency.errors import OtherRequest, StillRunning
from gatewayz.idempotency.model import Claim, KeptAnswer, Once
from gatewayz.idempotency.repository import IdempotencyRepository

CLAIM_LASTS = 30.0
"""Seconds after which another may run what a dead worker had begun."""
RENEW_EVERY = 10.0
LONGEST_NAME = 255

_TRIES = 3

log = structlog.get_logger("gatewayz.idempotency")


class Idempotency:
    """`most_bytes`: of an answer that is kept."""

    def __init__(self, repository: IdempotencyRepository, *, most_bytes: int) -> None:
        self._repository = repository
        self._running: dict[str, Claim] = {}
        self.most_bytes = most_bytes

    def named(self, key_id: ApiKeyId, name: str, path: str, body: bytes) -> Once:
        """The request that goes by `name`. Raises InvalidRequest for a name that is none."""
        if not 1 <= len(name) <= LONGEST_NAME or not (name.isascii() and name.isprintable()):
            raise InvalidRequest(
                f"'Idempotency-Key' must be 1 to {LONGEST_NAME} printable ASCII characters", param="Idempotency-Key"
            )
        digest = blake2b(body, digest_size=32, person=b"idempotency")
        digest.update(path.encode())
        return Once(key_id, name, digest.digest())

    @asynccontextmanager
    async def claimed(self, once: Once) -> AsyncIterator[Claim | KeptAnswer]:
        """The right to run it, given up at the end of the block unless its answer was kept; or the answer.

        Raises StillRunning while another runs it, OtherRequest where the name stands for something else.
        """
        claim = await self._claim(once)
        if isinstance(claim, KeptAnswer):
            yield claim
            return
        self._running[claim.token] = claim
        try:
            yield claim
        finally:
            if self._running.pop(claim.token, None) is not None:
                await self._release(claim)

    async def keep(self, claim: Claim, answer: KeptAnswer) -> None:
        """Give this answer to whoever asks again. A database that is away then costs the keeping, not the answer: the
        claim runs out, and a retry runs anew under the same generation.
        """
        if len(answer.body) > self.most_bytes:
            return
        try:
            await self._repository.keep(claim, answer)
        except GatewayzError as error:
            log.warning("answer_not_kept", reason=error.message)
        self._running.pop(claim.token, None)

    async def renew(self) -> None:
        """Hold on to the claims of what runs here. To be called every RENEW_EVERY seconds."""
        if self._running:
            await self._repository.renew(list(self._running))

    async def forget_expired(self) -> int:
        """Delete what is no longer kept; returns how many answers that were."""
        return await self._repository.forget_expired()

    async def _claim(self, once: Once) -> Claim | KeptAnswer:
        token = random_id("claim")
        for _ in range(_TRIES):
            found = await self._repository.claim(once, generation=random_id("gen"), token=token)
            if isinstance(found, Claim):
                return found
            if found is None:
                continue
            if found.fingerprint != once.fingerprint:
                raise OtherRequest(
                    f"the Idempotency-Key {once.name!r} was used for another request; take a new one for this",
                    param="Idempotency-Key",
                )
            if found.answer is not None:
                return found.answer
            break
        raise StillRunning(
            f"the request with the Idempotency-Key {once.name!r} is still running; ask again in a moment",
            param="Idempotency-Key",
        )

    async def _release(self, claim: Claim) -> None:
        try:
            await self._repository.release(claim)
        except GatewayzError as error:
            log.warning("claim_not_released", reason=error.message)  # it runs out by itself
