"""The texts of one request whose vectors are not kept: asked for in one call, and told apart again."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec import Raw, Struct, field
from msgspec.structs import replace

from gatewayz.cache.entity import Loaded
from gatewayz.catalog.model import Offer
from gatewayz.core.clock import Clock
from gatewayz.core.course import course, follow
from gatewayz.core.errors import GatewayzError, Unavailable
from gatewayz.core.ids import random_id
from gatewayz.credits.pricing import Tariffs
from gatewayz.inference.metering import Usage, usage_of
from gatewayz.inference.model import ChatRequest
from gatewayz.inference.service import Call, InferenceService
from gatewayz.limits.model import Admitted
from gatewayz.providers.dialects.vectors import Vectors, vectors_in
from gatewayz.responses.answer import Origin
from gatewayz.responses.items import ItemsPlan, items_of
from gatewayz.responses.metrics import ResponsesCounts
from gatewayz.responses.reasons import NotKept, Reason
from gatewayz.responses.vector import Vector, item_of, shares


class Asked(Struct, frozen=True):
    """What became of a call: who answered, how it was let in, and what the answer says of itself and was used."""

    offer: Offer
    admitted: Admitted
    head: dict[str, Raw]
    usage: Raw | None


class BatchParts(Struct, frozen=True):
    """What batches are made of. `most_bytes`: of a vector that is kept. `running`: the tasks that ask."""

    inference: InferenceService
    counts: ResponsesCounts
    clock: Clock
    most_bytes: int
    running: set["asyncio.Task[Any]"] = field(default_factory=set)


class Batch:
    """`made`: by key all that came. `keys`: all that were asked for. `last`: the latest call that was answered.
    `error`: why one was not. `not_kept`: why some of what came is not kept.

    A call is charged under the id of the request. That there is more than one is rare: then they have ids of their own.
    """

    def __init__(self, parts: BatchParts, call: Call, plan: ItemsPlan) -> None:
        self._parts = parts
        self._call = call
        self._plan = plan
        self._of_request = course()
        self._tariffs = Tariffs()
        self._items = dict(zip(plan.keys, _items(call.request), strict=True))
        self.keys: set[str] = set()
        self.made: dict[str, Vector] = {}
        self.last: Asked | None = None
        self.error: GatewayzError | None = None
        self.not_kept: Reason | None = None

    async def load(self, _source: object, keys: Sequence[str]) -> Mapping[str, Loaded[Vector] | Exception]:
        """As the cache wants it. What must not be kept is an exception to it, and `made` all the same: also what was
        purged while it came, of which the cache asks again.
        """
        follow(self._of_request)
        purged = [key for key in keys if key in self.made]
        said: dict[str, Loaded[Vector] | Exception] = {key: self._refused(Reason.PURGED) for key in purged}
        if missing := [key for key in keys if key not in said]:
            await self.ask(missing)
            said |= {key: self._said(self.made[key]) for key in missing}
        return said

    async def ask(self, keys: Sequence[str]) -> None:
        """Raises what InferenceService.chat raises."""
        call = self._call_for(keys)
        self.keys.update(keys)
        created = self._parts.clock.now()
        try:
            with _registered(self._parts.running):
                async with self._parts.inference.chat(call) as served:
                    body = b"".join([chunk async for chunk in served.answer.chunks])
        except GatewayzError as error:
            self.error = error
            raise
        except asyncio.CancelledError:
            self.error = Unavailable("this worker ended before its provider had answered; send the request again")
            raise
        vectors = vectors_in(body, len(keys))
        self.last = Asked(served.offer, served.admitted, vectors.head, vectors.usage)
        self._tell_apart(keys, served.offer, vectors, usage_of(body) or Usage(), created)

    def _call_for(self, keys: Sequence[str]) -> Call:
        generation = self._call.generation if not self.keys else random_id("gen")
        if tuple(keys) == self._plan.keys:
            return replace(self._call, generation=generation)
        given = Raw(msgspec.json.encode([self._items[key] for key in keys]))
        body = {**self._call.request.body, "input": given}
        request = replace(self._call.request, body=body, prompts=len(keys))
        return replace(self._call, generation=generation, request=request, body=msgspec.json.encode(body))

    def _tell_apart(
        self, keys: Sequence[str], offer: Offer, vectors: Vectors, used: Usage, created: float
    ) -> None:  # fmt: skip
        weights = [_weight(bytes(self._items[key])) for key in keys]
        cost = self._tariffs.of(offer.pricing).cost(used.priced(), allow_unknown=True)
        seconds = self._parts.clock.now() - created
        model = msgspec.json.decode(vectors.head.get("model", b"null"))
        for key, entry, tokens, part in zip(
            keys, vectors.entries, shares(used.prompt, weights), shares(cost, weights), strict=True
        ):
            origin = Origin(
                model=offer.id,
                provider=offer.provider,
                native_id=offer.native_id,
                prompt_tokens=tokens,
                cost=part,
                seconds=seconds,
            )
            self.made[key] = Vector(
                origin=origin,
                created=created,
                ttl=self._plan.ttl,
                model=model if isinstance(model, str) else offer.native_id,
                item=item_of(entry),
            )

    def _said(self, vector: Vector) -> Loaded[Vector] | Exception:
        if len(vector.item) > self._parts.most_bytes:
            return self._refused(Reason.TOO_LARGE)
        return Loaded(value=vector, ttl=vector.ttl, tags=self._plan.tags)

    def _refused(self, reason: Reason) -> NotKept:
        self.not_kept = reason
        self._parts.counts.not_kept[reason] += 1
        return NotKept(reason)


@contextmanager
def _registered(tasks: set["asyncio.Task[Any]"]) -> Iterator[None]:
    """The current task is one of these during the block."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  a coroutine runs in one
    tasks.add(task)
    try:
        yield
    finally:
        tasks.discard(task)


def _items(request: ChatRequest) -> list[Raw]:
    """The texts of a request as they came."""
    given, read = request.body["input"], (request.values or {})["input"]
    return msgspec.json.decode(given, type=list[Raw]) if items_of(read) is read else [given]


def _weight(item: bytes) -> int:
    """Of a text, by which it has its share of what all took: its tokens where they are given, else its length."""
    return item.count(b",") + 1 if item.startswith(b"[") else len(item)
