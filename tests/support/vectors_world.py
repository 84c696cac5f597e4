"""Requests for vectors before a cache of their own, and a provider in place of all that lies behind it."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from gatewayz.catalog.model import Offer
from gatewayz.core.errors import ProviderFailed
from gatewayz.core.ids import AccountId, ApiKeyId
from gatewayz.inference.model import parse_embedding_request
from gatewayz.inference.service import Call, InferenceService, Served
from gatewayz.inference.turnstile import Turnstile
from gatewayz.inference.vectors import VectorReplies
from gatewayz.providers.dialects.chat import ChatAnswer
from gatewayz.responses.config import ResponsesConfig
from gatewayz.responses.items import ItemsPlans, items_of
from gatewayz.responses.key import ResponseKeys, Sharing, Tenant
from gatewayz.responses.metrics import ResponsesCounts
from gatewayz.responses.repository import EMBED
from tests.support.cache_world import local_cache
from tests.support.fake_clock import FakeClock
from tests.support.fake_upstream import vector_of

TENANT = Tenant(AccountId(1), cast("ApiKeyId", "key_1"))
OFFER = Offer(id="acme/vectors", provider="acme", native_id="vectors", unique_id="acme/vectors", name="Vectors")


class Provider:
    """In place of inference: answers in any order, with two tokens of each text. `asked`: the texts of each call.
    `gate` holds calls up.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.asked: list[list[Any]] = []
        self.failing = False
        self.gate: asyncio.Event | None = None
        self.is_asked = asyncio.Event()

    @asynccontextmanager
    async def chat(self, call: Call) -> AsyncIterator[Served]:
        texts = items_of(json.loads(call.body)["input"])
        self.asked.append(texts)
        self.is_asked.set()
        await (asyncio.sleep(0) if self.gate is None else self.gate.wait())
        if self.failing:
            raise ProviderFailed("broken")
        data = [{"index": index, "embedding": vector_of(text)} for index, text in enumerate(texts)]
        self._rng.shuffle(data)
        form = {"object": "list", "data": data, "model": "vectors", "usage": {"prompt_tokens": 2 * len(texts)}}
        yield Served(ChatAnswer("application/json", _only(json.dumps(form).encode())), OFFER, cast("Any", None))


async def _only(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk


class OpenTurnstile:
    @asynccontextmanager
    async def passed(self, _wanted: object) -> AsyncIterator[Any]:
        yield SimpleNamespace(recalled=lambda _recall: None, admitted=None)


class VectorsWorld:
    """`wait`: as VectorReplies has it."""

    def __init__(self, rng: random.Random, *, wait: float = 60) -> None:
        clock = FakeClock()
        self.provider = Provider(rng)
        self.cache = local_cache(object(), clock, entities=(EMBED,))
        self.counts = ResponsesCounts()
        self._plans = ItemsPlans(ResponseKeys(b"s" * 32, Sharing.ACCOUNT), ResponsesConfig(), ttl=3600)
        self.replies = VectorReplies(
            cast("InferenceService", self.provider),
            cast("Turnstile", OpenTurnstile()),
            self.cache,
            self.counts,
            clock,
            wait=wait,
            most_bytes=1 << 20,
        )

    async def ask(self, texts: object) -> dict[str, Any]:
        body = json.dumps({"model": "acme/vectors", "input": texts}).encode()
        request = parse_embedding_request(body)
        caller = cast("Any", SimpleNamespace(account_id=TENANT.account_id, key_id=TENANT.key_id))
        call = Call(caller=caller, generation="gen_1", request=request, body=body)
        async with self.replies.reply(call, self._plans.of(TENANT, request.values, [])) as reply:
            answer: dict[str, Any] = json.loads(reply.body or b"")
            return answer
