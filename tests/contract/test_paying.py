"""What a request costs: held before it runs, charged once for what was used, refused where it cannot be paid."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from tests.support.fake_upstream import DONE, USED, FakeUpstream, event
from tests.support.gateway import RunningGateway, listed, listing, parts_of, running_gateway
from tests.support.patience import PATIENCE

from gatewayz.accounts.scopes import ACCOUNT, INFERENCE
from gatewayz.core.money import nano_usd
from gatewayz.embedded.servers import Servers

PRICED, UNPRICED = "rocket-1", "rocket-2"
LISTS = (
    listing("acme", listed(PRICED, "0.001"), listed(UNPRICED)),
    listing("beta", listed(PRICED, "0.002"), listed(UNPRICED)),
)
COST = Decimal("0.003")  # one token of the prompt at 0.001, one of the answer at 0.002

Both = tuple[RunningGateway, FakeUpstream]


@pytest.fixture(scope="module")
async def both(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    async with FakeUpstream().running() as upstream:
        providers = {name: {"base_url": upstream.base_url(name), "api_key": f"sk-{name}"} for name in ("acme", "beta")}
        async with running_gateway(servers, tmp_path_factory.mktemp("paying"), LISTS, providers=providers) as gateway:
            yield gateway, upstream


@pytest.fixture
def upstream(both: Both) -> FakeUpstream:
    _, upstream = both
    upstream.reset()
    upstream.behaviours = {"acme": "answers", "beta": "answers"}
    return upstream


class Customer:
    def __init__(self, gateway: RunningGateway, secret: str) -> None:
        self._gateway = gateway
        self._secret = secret

    @asynccontextmanager
    async def chat(self, model: str = PRICED, **fields: object) -> AsyncIterator[aiohttp.ClientResponse]:
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, **fields}
        async with (
            self._gateway.client(Authorization=f"Bearer {self._secret}") as client,
            client.post(self._gateway.at("/v1/chat/completions"), json=body) as response,
        ):
            yield response

    async def said(self, model: str = PRICED, **fields: object) -> tuple[int, dict[str, Any], Any]:
        """Status, body and headers."""
        async with self.chat(model, **fields) as response:
            return response.status, json.loads(await response.read()), response.headers

    async def asks(self, path: str) -> tuple[int, dict[str, Any]]:
        async with (
            self._gateway.client(Authorization=f"Bearer {self._secret}") as client,
            client.get(self._gateway.at(path)) as response,
        ):
            return response.status, json.loads(await response.read())

    async def generation(self, name: str) -> dict[str, Any]:
        """Once it is settled."""
        async with asyncio.timeout(PATIENCE):
            while True:
                status, body = await self.asks(f"/v1/generation/{name}")
                if status == 200:
                    return body
                await asyncio.sleep(0.02)


@pytest.fixture
def customer_with(both: Both) -> Any:  # noqa: ANN401  takes the terms of a key
    gateway, _ = both
    count = 0

    async def make(dollars: str = "1", **terms: Any) -> Customer:  # noqa: ANN401  those of a key
        nonlocal count
        count += 1
        async with parts_of(gateway.settings) as parts:
            made = await parts.keys.create(
                name="key",
                account=f"customer-{count}-{id(make)}",
                credits=nano_usd(Decimal(dollars)),
                scopes=(INFERENCE, ACCOUNT),
                **terms,
            )
        return Customer(gateway, made.secret)

    return make


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.usefixtures("upstream")
async def test_a_request_is_charged_for_what_its_provider_says_was_used(customer_with: Any, *, stream: bool) -> None:  # noqa: ANN401  a fixture
    customer = await customer_with()
    async with customer.chat(stream=stream) as response:
        body = await response.read()
    assert response.status == 200
    assert USED not in body, "nobody asked to see it"
    charged = await customer.generation(response.headers["x-generation-id"])
    assert (charged["provider"], Decimal(charged["cost"])) == ("acme", COST)
    _, usage = await customer.asks("/v1/usage")
    assert Decimal(usage["data"][0]["cost"]) == COST


@pytest.mark.usefixtures("upstream")
async def test_who_asks_for_usage_sees_it_in_the_stream(customer_with: Any) -> None:  # noqa: ANN401  a fixture
    customer = await customer_with()
    async with customer.chat(stream=True, stream_options={"include_usage": True}) as response:
        assert await response.read() == event("Hel") + event("lo") + USED + DONE


async def test_the_price_is_that_of_the_provider_that_served(customer_with: Any, upstream: FakeUpstream) -> None:  # noqa: ANN401  a fixture
    upstream.behaviours["acme"] = "500"
    customer = await customer_with()
    _, _, headers = await customer.said()
    charged = await customer.generation(headers["x-generation-id"])
    assert (charged["provider"], Decimal(charged["cost"])) == ("beta", 2 * COST)


async def test_who_cannot_pay_is_refused_before_anything_runs(customer_with: Any, upstream: FakeUpstream) -> None:  # noqa: ANN401  a fixture
    customer = await customer_with("0.001")
    status, body, headers = await customer.said()
    assert (status, body["error"]["code"]) == (429, "insufficient_quota")
    assert headers["x-should-retry"] == "false", "or clients would try again and again"
    assert not upstream.asked


async def test_a_failed_request_costs_nothing_and_frees_what_was_held(
    customer_with: Any,  # noqa: ANN401  a fixture
    upstream: FakeUpstream,
) -> None:
    customer = await customer_with("0.4")
    upstream.behaviours = dict.fromkeys(("acme", "beta"), "500")
    for _ in range(5):
        assert (await customer.said())[0] == 502
    upstream.behaviours = {"acme": "answers"}
    assert (await customer.said())[0] == 200


async def test_nobody_spends_more_than_there_is(customer_with: Any, upstream: FakeUpstream) -> None:  # noqa: ANN401  a fixture
    customer = await customer_with("0.4")
    outcomes = await asyncio.gather(*(customer.said() for _ in range(30)))
    served = [status for status, _, _ in outcomes].count(200)
    assert {status for status, _, _ in outcomes} <= {200, 429, 503}
    assert served == len(upstream.asked)
    names = [headers["x-generation-id"] for status, _, headers in outcomes if status == 200]
    spent = sum([Decimal((await customer.generation(name))["charged"]) for name in names])
    assert spent == served * COST
    _, balance = await customer.asks("/v1/credits")
    assert Decimal(balance["available"]) + Decimal(balance["held"]) == Decimal("0.4") - spent


async def test_who_leaves_pays_for_what_there_was(customer_with: Any, upstream: FakeUpstream) -> None:  # noqa: ANN401  a fixture
    upstream.behaviours["acme"] = "held"
    customer = await customer_with()
    upstream.chunks.put_nowait(event("one"))
    upstream.chunks.put_nowait(event("two"))
    async with asyncio.timeout(PATIENCE):
        async with customer.chat(stream=True) as response:
            name = response.headers["x-generation-id"]
            read = b""
            while event("two") not in read:
                read += await response.content.readany()
        await upstream.is_left.wait()
    charged = await customer.generation(name)
    assert charged["completion_tokens"] == 2
    assert Decimal(charged["cost"]) > 0


async def test_a_model_without_a_price_needs_a_key_that_allows_it(customer_with: Any, upstream: FakeUpstream) -> None:  # noqa: ANN401  a fixture
    strict, lenient = await customer_with(), await customer_with("0", pays_unknown_prices=True)
    status, body, _ = await strict.said(UNPRICED)
    assert (status, body["error"]["code"]) == (400, "price_unknown")
    assert not upstream.asked
    assert (await lenient.said(UNPRICED))[0] == 200


async def test_a_limit_is_told_on_every_answer_and_kept(customer_with: Any, upstream: FakeUpstream) -> None:  # noqa: ANN401  a fixture
    customer = await customer_with(limits={"requests_per_minute": 2, "tokens_per_day": 100_000})
    answers = [await customer.said() for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 429]
    assert [headers["x-ratelimit-remaining-requests"] for _, _, headers in answers] == ["1", "0", "0"]
    assert answers[0][2]["x-ratelimit-limit-tokens"] == "100000"
    _, body, headers = answers[2]
    assert body["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(headers["retry-after"]) <= 61
    assert len(upstream.asked) == 2


async def test_no_more_run_at_one_time_than_the_key_allows(customer_with: Any, upstream: FakeUpstream) -> None:  # noqa: ANN401  a fixture
    upstream.behaviours["acme"] = "held"
    customer = await customer_with(limits={"concurrent": 1})
    async with asyncio.timeout(PATIENCE):
        first = asyncio.create_task(customer.said(stream=True))
        await upstream.has_request.wait()
        assert (await customer.said())[0] == 429
        for chunk in (DONE, None):
            upstream.chunks.put_nowait(chunk)
        with pytest.raises(json.JSONDecodeError):
            await first
        upstream.behaviours["acme"] = "answers"
        while (await customer.said())[0] == 429:  # noqa: ASYNC110  the place is given back by itself
            await asyncio.sleep(0.01)


async def test_a_key_spends_no_more_than_its_budget(customer_with: Any, upstream: FakeUpstream) -> None:  # noqa: ANN401  a fixture
    customer = await customer_with("1", budget=nano_usd(Decimal("0.4")))
    statuses = [(await customer.said())[0] for _ in range(2)]
    assert 200 in statuses
    status, body, _ = await customer.said(max_tokens=100)
    assert (status, body["error"]["code"]) == (429, "insufficient_quota")
    assert "budget" in body["error"]["message"]
    assert upstream.asked


async def test_a_repeated_request_is_charged_once(customer_with: Any, both: Both, upstream: FakeUpstream) -> None:  # noqa: ANN401  a fixture
    gateway, _ = both
    customer = await customer_with()
    names = set()
    for _ in range(3):
        async with (
            gateway.client(Authorization=f"Bearer {customer._secret}", **{"Idempotency-Key": "once"}) as client,
            client.post(
                gateway.at("/v1/chat/completions"),
                json={"model": PRICED, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5},
            ) as response,
        ):
            assert response.status == 200
            if name := response.headers.get("x-generation-id"):
                names.add(name)
    assert len(upstream.asked) == len(names) == 1
    await customer.generation(names.pop())
    _, usage = await customer.asks("/v1/usage")
    assert sum(row["requests"] for row in usage["data"]) == 1
