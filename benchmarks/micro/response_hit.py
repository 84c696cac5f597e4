"""What an answer from the worker's memory costs, step by step: CPU of the worker, without authentication, admission and
the server around it.

    python -m benchmarks.micro.response_hit

Prints the best of several rounds, for a short request and for a conversation of 60 messages.
"""

import asyncio
import json
import random
import time

from benchmarks.micro.timing import micros

from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Loaded
from gatewayz.core.clock import SystemClock
from gatewayz.core.ids import AccountId, ApiKeyId, random_id
from gatewayz.inference.model import parse_chat_request
from gatewayz.responses import status
from gatewayz.responses.answer import CachedAnswer, Origin, kept_form
from gatewayz.responses.canonical import canonical, decoded
from gatewayz.responses.config import ResponsesConfig
from gatewayz.responses.key import ResponseKeys, Sharing, Tenant
from gatewayz.responses.plan import Plans, use_of
from gatewayz.responses.repository import CHAT

ROUNDS = 5_000
TENANT = Tenant(AccountId(42), ApiKeyId("key_of_a_benchmark"))
HEADERS = [(b"host", b"gateway"), (b"user-agent", b"AsyncOpenAI/Python 2.0"), (b"content-type", b"application/json")]
TEXT = "The quick brown fox jumps over the lazy dog. " * 20
REQUESTS = {
    "1 message, 100 bytes": [{"role": "user", "content": TEXT[:100]}],
    "60 messages, 54 kB": [{"role": "user", "content": TEXT}] * 60,
}


def answer() -> CachedAnswer:
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    form = {
        "object": "chat.completion",
        "model": "rocket-1",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 200, "total_tokens": 230},
    }
    origin = Origin(model="acme/rocket-1", provider="acme", native_id="rocket-1")
    return kept_form(form, origin, created=time.time(), ttl=3600, choices=1, most_bytes=1 << 20)


async def main() -> None:
    clock, rng = SystemClock(), random.Random(0)
    cache = Cache((CHAT,), None, clock=clock, rng=rng)
    plans = Plans(ResponseKeys(b"s" * 32, Sharing.ACCOUNT), ResponsesConfig(), ttl=3600, rng=rng)
    for name, messages in REQUESTS.items():
        body = json.dumps({"model": "acme/rocket-1", "messages": messages, "temperature": 0.0}).encode()
        fields = decoded(body)
        key = plans.of(TENANT, fields, HEADERS).key
        assert key is not None
        async with cache.keeping(CHAT, key) as keep:
            assert await keep(Loaded(value=answer()))
        entry = cache.peek(CHAT, key)
        assert entry is not None

        def hit(body: bytes = body) -> bytes:
            plan = plans.of(TENANT, parse_chat_request(body).values, HEADERS)
            found = cache.peek(CHAT, plan.key or "")
            assert found is not None
            now = clock.now()
            use_of(found, plan.controls, now)
            status.hit(found, now, "L1")
            return found.as_whole(random_id("chatcmpl"), int(now))

        print(f"── {name}")
        for step, work in {
            "parse for the gateway": lambda body=body: parse_chat_request(body),
            "decode": lambda body=body: decoded(body),
            "canonical form": lambda fields=fields: canonical(fields),
            "plan: form, HMAC": lambda fields=fields: plans.of(TENANT, fields, HEADERS),
            "peek": lambda key=key: cache.peek(CHAT, key),
            "write the answer": lambda entry=entry: entry.as_whole(random_id("chatcmpl"), 1),
            "write its stream": lambda entry=entry: entry.as_stream(random_id("chatcmpl"), 1, shows_usage=False),
            "the whole hit": hit,
        }.items():
            print(f"{step:28} {micros(work, ROUNDS):8.2f} us")
    await cache.close()


if __name__ == "__main__":
    asyncio.run(main())
