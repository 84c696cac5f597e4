"""A request for vectors, answered text by text: from what is kept, from what others wait for, or by a provider."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from gatewayz.cache.cache import Cache
from gatewayz.cache.errors import SomeFailed
from gatewayz.cache.flight import Served as Tier
from gatewayz.cache.lookups import Found
from gatewayz.core.clock import Clock
from gatewayz.core.course import course
from gatewayz.core.errors import ProviderFailed
from gatewayz.inference.batch import Asked, Batch, BatchParts
from gatewayz.inference.replies import FORWARDED, JSON, Reply, count_answer, passed_on, recall_of
from gatewayz.inference.service import Call, InferenceService, wanting_nothing
from gatewayz.inference.turnstile import Pass, Turnstile
from gatewayz.limits.model import Admitted
from gatewayz.responses import status
from gatewayz.responses.errors import NotCached
from gatewayz.responses.items import ItemsPlan
from gatewayz.responses.metrics import ResponsesCounts
from gatewayz.responses.plan import Use, use_of
from gatewayz.responses.reasons import Reason
from gatewayz.responses.repository import EMBED
from gatewayz.responses.status import Note
from gatewayz.responses.vector import NOTHING_USED, Vector, answer_of


class VectorReplies:
    """`wait`: seconds for what others have asked for. `most_bytes`: of a vector that is kept."""

    def __init__(
        self,
        inference: InferenceService,
        turnstile: Turnstile,
        cache: Cache,
        counts: ResponsesCounts,
        clock: Clock,
        *,
        wait: float,
        most_bytes: int,
    ) -> None:
        self._inference = inference
        self._turnstile = turnstile
        self._cache = cache
        self._counts = counts
        self._clock = clock
        self._wait = wait
        self._parts = BatchParts(inference, counts, clock, most_bytes)

    async def close(self, within: float) -> None:
        """Let what was asked of providers come to its end, in so many seconds at most: whoever may have left."""
        if running := set(self._parts.running):
            await asyncio.wait(running, timeout=within)
        if left := set(self._parts.running):
            for task in left:
                task.cancel()
            await asyncio.wait(left)

    def at_hand(self, plan: ItemsPlan) -> Mapping[str, Vector] | None:
        """All of them by their keys, where they are in this worker's memory and will do."""
        if not plan.keys or not plan.controls.may_read:
            return None
        now, vectors = self._clock.now(), {}
        for key in plan.keys:
            vector = self._cache.peek(EMBED, key)
            if vector is None or use_of(vector, plan.controls, now) is not Use.FRESH:
                return None
            vectors[key] = vector
        return vectors

    async def at_once(self, call: Call, plan: ItemsPlan, vectors: Mapping[str, Vector]) -> Reply:
        """As Replies.at_once."""
        wanted = wanting_nothing(call)
        let_in = await self._turnstile.admit(wanted)
        once = list(vectors.values())
        note = status.all_hit(once, self._clock.now(), "L1")
        reply = self._recalled(call, [vectors[key] for key in plan.keys], once, note, let_in)
        self._turnstile.settle(wanted, let_in, 0.0)
        return reply

    @asynccontextmanager
    async def reply(self, call: Call, plan: ItemsPlan) -> AsyncIterator[Reply]:
        """Raises what InferenceService.chat raises, and NotCached where only what is kept was asked for. What was asked
        of a provider goes on, is paid for and kept though the caller leaves.
        """
        async with AsyncExitStack() as stack:
            yield await self._reply(call, plan, stack)

    async def _reply(self, call: Call, plan: ItemsPlan, stack: AsyncExitStack) -> Reply:
        if not plan.keys:
            return await self._direct(call, plan, stack)
        keys = list(dict.fromkeys(plan.keys))
        kept = await self._cache.find_many(EMBED, keys) if plan.controls.may_read else {}
        now = self._clock.now()
        uses = {key: use_of(found.value, plan.controls, now) for key, found in kept.items()}
        missing = [key for key in keys if uses.get(key) not in {Use.FRESH, Use.STALE}]
        if not missing:
            tier = "stale" if Use.STALE in uses.values() else _tier(kept.values())
            return await self._hit(call, plan, kept, tier, stack)
        if plan.controls.only_if_cached:
            raise NotCached(
                f"{len(missing)} of {len(keys)} vectors are not kept, or too old, and 'only-if-cached' asks nobody else"
            )
        batch = Batch(self._parts, call, plan)
        is_anew = not plan.controls.may_read or any(_is_alive(kept.get(key)) for key in missing)
        try:
            made = await self._made(batch, plan, missing, anew=is_anew)
        except ProviderFailed:
            if any(uses.get(key) is not Use.IF_ERROR for key in missing):
                raise
            return await self._hit(call, plan, kept, "stale-if-error", stack)
        vectors = {key: found.value for key, found in kept.items()} | made
        reason = _reason(plan, was_kept=any(key in kept for key in missing))
        note = _note(reason, plan, batch, kept=len(keys) - len(missing), missing=len(missing))
        given, cached = [vectors[key] for key in plan.keys], [vectors[key] for key in keys if key not in batch.keys]
        if batch.last is None:
            return await self._free(call, given, cached, note, stack)
        return self._asked(batch.last, given, cached, note)

    async def _direct(self, call: Call, plan: ItemsPlan, stack: AsyncExitStack) -> Reply:
        """As if there were no cache."""
        assert plan.why_not is not None  # noqa: S101  what has no keys has a reason
        if plan.controls.only_if_cached:
            raise NotCached(f"this request is not looked up ({plan.why_not}), and 'only-if-cached' asks nobody else")
        note = status.bypass(plan.why_not)
        served = await stack.enter_async_context(self._inference.chat(call))
        count_answer(self._counts, note, course())
        return passed_on(served, note)

    async def _hit(
        self, call: Call, plan: ItemsPlan, kept: Mapping[str, Found[Vector]], tier: str, stack: AsyncExitStack
    ) -> Reply:
        once = [found.value for found in kept.values()]
        note = status.all_hit(once, self._clock.now(), tier)
        return await self._free(call, [kept[key].value for key in plan.keys], once, note, stack)

    async def _free(
        self, call: Call, vectors: Sequence[Vector], once: Sequence[Vector], note: Note, stack: AsyncExitStack
    ) -> Reply:
        let_in = await stack.enter_async_context(self._turnstile.passed(wanting_nothing(call)))
        return self._recalled(call, vectors, once, note, let_in)

    async def _made(self, batch: Batch, plan: ItemsPlan, keys: Sequence[str], *, anew: bool) -> dict[str, Vector]:
        """By who asks first, for all who ask at that time. Whoever waits too long, or for one who fails for a reason of
        its own, asks by itself.
        """
        if not plan.controls.may_store:
            await batch.ask(keys)
            return batch.made
        try:
            async with asyncio.timeout(self._wait):
                return await self._tried(batch, keys, anew=anew)
        except TimeoutError:
            ours = [key for key in keys if key in batch.keys]
            others = [key for key in keys if key not in batch.keys]
        alone = {}
        if others:
            self._counts.alone["waited"] += 1
            alone = await self._tried(batch, others, anew=True)
        return alone | await self._tried(batch, ours, anew=False)

    async def _tried(self, batch: Batch, keys: Sequence[str], *, anew: bool) -> dict[str, Vector]:
        try:
            return await self._cache.get_many(EMBED, keys, batch.load, anew=anew)
        except SomeFailed as failed:
            if batch.error is not None:
                raise batch.error from failed
            known = {**failed.values, **batch.made}
            left = {key: failure for key, failure in failed.failures.items() if key not in known}
            for failure in left.values():
                if anew:
                    raise failure from failed
                if isinstance(failure.__cause__, ProviderFailed):
                    raise failure.__cause__.anew() from failed
        return {key: known[key] for key in keys if key in known} | await self._tried(batch, list(left), anew=True)

    def _asked(self, asked: Asked, vectors: Sequence[Vector], cached: Sequence[Vector], note: Note) -> Reply:
        """What a provider has just made, all of it or all but what is `cached`."""
        count_answer(self._counts, note, course())
        if cached:
            self._save(cached, asked.offer.provider, asked.offer.id)
        body = answer_of(vectors, head=asked.head, usage=asked.usage, cached=cached)
        return _reply(body, asked.offer.provider, asked.admitted, note)

    def _recalled(
        self, call: Call, vectors: Sequence[Vector], once: Sequence[Vector], note: Note, let_in: Pass
    ) -> Reply:  # fmt: skip
        """Without anybody's work. `once`: the same, each once."""
        origin = once[0].origin
        count_answer(self._counts, note, course())
        self._save(once, origin.provider, origin.model)
        let_in.recalled(recall_of(call, origin, note, is_stream=False))
        body = answer_of(vectors, head=None, usage=NOTHING_USED, cached=once)
        return _reply(body, origin.provider, let_in.admitted, note)

    def _save(self, cached: Sequence[Vector], provider: str, model: str) -> None:
        """Counts what it saves that these were kept."""
        now = self._clock.now()
        course().recalled(
            provider,
            model,
            saved=sum(vector.origin.cost for vector in cached),
            saved_seconds=max(vector.origin.seconds for vector in cached),
            age=max(now - vector.created for vector in cached),
        )
        self._counts.saved_tokens += sum(vector.origin.prompt_tokens for vector in cached)


def _reason(plan: ItemsPlan, *, was_kept: bool) -> Reason:
    if not plan.controls.may_read:
        return Reason.NO_CACHE
    return Reason.TOO_OLD if was_kept else Reason.ABSENT


def _note(reason: Reason, plan: ItemsPlan, batch: Batch, *, kept: int, missing: int) -> Note:
    asked = len(batch.keys)
    why_not = batch.not_kept or (None if plan.controls.may_store else Reason.NO_STORE)
    if not kept and asked == missing:
        return status.miss(FORWARDED.get(reason, "miss"), reason, is_stored=why_not is None, why_not=why_not)
    if not kept and not asked:
        return status.collapsed()
    is_stored = bool(asked) and why_not is None
    return status.partial(kept=kept, collapsed=missing - asked, asked=asked, is_stored=is_stored)


def _tier(kept: Collection[Found[Vector]]) -> str:
    return "L1" if all(found.served is Tier.HIT_L1 for found in kept) else "L2"


def _is_alive(found: Found[Vector] | None) -> bool:
    """Whether the cache itself would give it again, though it will not do."""
    return found is not None and found.served is not Tier.STALE


def _reply(body: bytes, provider: str, admitted: Admitted, note: Note) -> Reply:
    return Reply(content_type=JSON, provider=provider, admitted=admitted, note=note, body=body)
