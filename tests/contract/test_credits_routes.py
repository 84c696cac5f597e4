"""Credits over HTTP: what an account sees of its own, and what an admin may do."""

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Struct
from tests.support.fleet import psql
from tests.support.gateway import RunningGateway, parts_of

from gatewayz.accounts.scopes import ACCOUNT, ADMIN, INFERENCE
from gatewayz.core.ids import AccountId, ApiKeyId
from gatewayz.core.money import NanoUsd
from gatewayz.credits.model import Charge

ENDED = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
RANGE = "first=2026-02-01&last=2026-03-31"
GRANT = {"account": "test", "amount": "2.5", "reason": "a gift", "reference": "gift-1"}


class Client(Struct, frozen=True):
    gateway: RunningGateway
    admin: str

    async def get(self, path: str, key: str | None = None, **headers: str) -> tuple[int, Any]:
        status, text = await self.text(path, key, **headers)
        return status, json.loads(text)

    async def text(self, path: str, key: str | None = None, **headers: str) -> tuple[int, str]:
        shown = {"Authorization": f"Bearer {key or self.gateway.api_key}", **headers}
        async with self.gateway.client(**shown) as client, client.get(self.gateway.at(path)) as response:
            return response.status, await response.text()

    async def post(self, path: str, form: object, key: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key or self.admin}", "Content-Type": "application/json"}
        body = form if isinstance(form, bytes) else json.dumps(form).encode()
        async with (
            self.gateway.client(**headers) as client,
            client.post(self.gateway.at(path), data=body) as response,
        ):
            return response.status, await response.json()


@pytest.fixture
async def client(small_gateway: RunningGateway) -> AsyncIterator[Client]:
    async with parts_of(small_gateway.settings) as parts:
        admin = await parts.keys.create(name="admin", account="admin", scopes=(ADMIN, INFERENCE, ACCOUNT))
        yield Client(small_gateway, admin.secret)


async def settle(gateway: RunningGateway, *costs: int, account: str = "test", **fields: Any) -> list[str]:  # noqa: ANN401
    async with parts_of(gateway.settings) as parts, psql(gateway.settings) as db:
        row = await db.fetchrow(
            "SELECT a.id, k.id AS key FROM accounts a JOIN api_keys k ON k.account_id = a.id WHERE username = $1",
            account,
        )
        made = [
            Charge(
                **{
                    "request_id": f"gen_{account}_{number}",
                    "model": "openai/gpt-4o",
                    "provider": "openai",
                    "native_id": "gpt-4o",
                    "ended_at": ENDED + 86_400 * number,
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    **fields,
                },
                account_id=AccountId(row["id"]),
                key_id=ApiKeyId(row["key"]),
                cost=NanoUsd(cost),
            )
            for number, cost in enumerate(costs)
        ]
        await parts.credits.settlement.settle(made)
        return [each.request_id for each in made]


async def test_an_account_sees_what_it_has(client: Client) -> None:
    nothing = {"available": "0", "purchased": "0", "allowance": "0", "held": "0"}
    assert await client.get("/v1/credits") == (200, nothing)
    await client.post("/admin/credits/grant", GRANT)
    # Read through the cache, which has been told.
    assert await client.get("/v1/credits") == (200, {**nothing, "available": "2.5", "purchased": "2.5"})


async def test_usage_is_summed_by_what_is_asked_and_paged(client: Client) -> None:
    await client.post("/admin/credits/grant", GRANT)
    await settle(client.gateway, 1_000_000_000, 3, 4)
    status, body = await client.get(f"/v1/usage?{RANGE}&by=day")
    assert status == 200
    assert [(row["day"], row["requests"], row["cost"]) for row in body["data"]] == [
        ("2026-03-01", 1, "1"),
        ("2026-03-02", 1, "0.000000003"),
        ("2026-03-03", 1, "0.000000004"),
    ]
    _, page = await client.get(f"/v1/usage?{RANGE}&by=day&limit=2&offset=1")
    assert page["data"] == body["data"][1:]
    assert (page["total"], page["limit"], page["offset"]) == (3, 2, 1)
    _, total = await client.get(f"/v1/usage?{RANGE}&by=")
    assert total["data"] == [
        {
            "requests": 3,
            "cache_hits": 0,
            "prompt_tokens": 30,
            "completion_tokens": 15,
            "cached_tokens": 0,
            "cost": "1.000000007",
            "charged": "1.000000007",
        }
    ]
    key = (await client.get(f"/v1/usage?{RANGE}&by=key,model,provider"))[1]["data"][0]
    assert (key["model"], key["provider"], key["requests"]) == ("openai/gpt-4o", "openai", 3)
    assert (await client.get(f"/v1/usage?{RANGE}&key={key['key']}&by="))[1]["data"] == total["data"]
    assert (await client.get(f"/v1/usage?{RANGE}&key=key_of_nobody"))[1]["data"] == []
    assert (await client.get(f"/v1/usage?{RANGE}", client.admin))[1]["data"] == []


@pytest.mark.parametrize("how", ["parameter", "header"])
async def test_usage_comes_as_csv_too(client: Client, how: str) -> None:
    await settle(client.gateway, 0, 0)
    path, headers = f"/v1/usage?{RANGE}&by=day,model", {}
    if how == "parameter":
        path += "&format=csv"
    else:
        headers = {"Accept": "text/csv"}
    status, text = await client.text(path, **headers)
    assert status == 200
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["day"], row["model"], row["requests"]) for row in rows] == [
        ("2026-03-01", "openai/gpt-4o", "1"),
        ("2026-03-02", "openai/gpt-4o", "1"),
    ]


async def test_a_request_is_shown_to_its_own_account_only(client: Client) -> None:
    await client.post("/admin/credits/grant", GRANT)
    (request,) = await settle(client.gateway, 1_500_000_000, latency=0.25)
    status, body = await client.get(f"/v1/generation/{request}")
    assert (status, body["id"], body["cost"], body["charged"], body["refunded"]) == (200, request, "1.5", "1.5", "0")
    assert (body["provider"], body["native_id"], body["latency"]) == ("openai", "gpt-4o", 0.25)
    assert body["ended_at"] == "2026-03-01T12:00:00Z"
    for path, key in ((request, client.admin), ("gen_nobody", None), ("%00", None)):
        status, body = await client.get(f"/v1/generation/{path}", key)
        assert (status, body["error"]["code"]) == (404, "not_found")


async def test_a_grant_is_made_once_by_its_reference_and_noted(client: Client) -> None:
    status, first = await client.post("/admin/credits/grant", GRANT)
    assert (status, first["amount"], first["repeated"], first["balance"]["purchased"]) == (200, "2.5", False, "2.5")
    status, again = await client.post("/admin/credits/grant", GRANT)
    assert (status, again) == (200, {**first, "repeated": True})
    status, body = await client.post("/admin/credits/grant", {**GRANT, "amount": "1"})
    assert (status, body["error"]["code"], body["error"]["param"]) == (409, "conflict", "reference")
    async with psql(client.gateway.settings) as db:
        rows = await db.fetch("SELECT actor, action, target, after, reason FROM audit_log WHERE action LIKE 'credits%'")
        account = await db.fetchval("SELECT id FROM accounts WHERE username = 'test'")
    ((actor, action, target, after, reason),) = [tuple(row) for row in rows]
    assert (action, target, reason) == ("credits.grant", f"account:{account}", "a gift")
    assert actor.startswith("key_")
    assert json.loads(after) == {"amount_nano": 2_500_000_000, "reference": "gift-1"}


async def test_an_adjustment_never_takes_more_than_was_purchased(client: Client) -> None:
    await client.post("/admin/credits/grant", GRANT)
    adjust = {**GRANT, "amount": "-1", "reference": "less"}
    status, body = await client.post("/admin/credits/adjust", adjust)
    assert (status, body["amount"], body["balance"]["purchased"]) == (200, "-1", "1.5")
    status, body = await client.post("/admin/credits/adjust", {**adjust, "amount": "-2", "reference": "too much"})
    assert (status, body["error"]["param"]) == (400, "amount")
    status, body = await client.post("/admin/credits/adjust", {**adjust, "amount": "0.5", "reference": "more"})
    assert (status, body["balance"]["purchased"]) == (200, "2")


async def test_refunds_of_a_request_are_never_more_than_it_was_charged(client: Client) -> None:
    await client.post("/admin/credits/grant", GRANT)
    (request,) = await settle(client.gateway, 1_500_000_000)
    refund = {"request_id": request, "reason": "it was cut", "reference": "r1", "amount": "1"}
    status, body = await client.post("/admin/credits/refund", refund)
    assert (status, body["account"], body["balance"]["purchased"]) == (200, "test", "2")
    assert (await client.post("/admin/credits/refund", refund))[1] == {**body, "repeated": True}
    status, body = await client.post("/admin/credits/refund", {**refund, "reference": "r2"})
    assert (status, body["error"]["param"]) == (400, "amount")
    rest = {"request_id": request, "reason": "the rest", "reference": "r3"}
    for repeated in (False, True):
        status, body = await client.post("/admin/credits/refund", rest)
        assert (status, body["amount"], body["repeated"]) == (200, "0.5", repeated)
    assert (await client.get(f"/v1/generation/{request}"))[1]["refunded"] == "1.5"
    status, body = await client.post("/admin/credits/refund", {**rest, "reference": "r4"})
    assert (status, body["error"]["param"]) == (400, "request_id")
    status, body = await client.post("/admin/credits/refund", {**rest, "request_id": "gen_nobody"})
    assert (status, body["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": "sNaN"}, "amount"),
        ({"amount": "Infinity"}, "amount"),
        ({"amount": "10000.01"}, "amount"),
        ({"amount": "0.0000000001"}, "amount"),
        ({"amount": True}, "amount"),
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reference": ""}, "reference"),
        ({"reference": "a\x00b"}, "reference"),
        ({"account": 7.5}, "account"),
        ({"amount": 1}, "amount"),
        ({"acount": "x"}, "acount"),
    ],
)
async def test_what_cannot_be_granted_is_refused_by_name(
    client: Client, change: dict[str, Any], param: str | None
) -> None:
    status, body = await client.post("/admin/credits/grant", {**GRANT, **change})
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "invalid_request", param)


async def test_what_is_no_json_or_names_nobody_is_refused(client: Client) -> None:
    for body in (b"", b"{", b"[]", b"\xff"):
        assert (await client.post("/admin/credits/grant", body))[0] == 400
    for account, expected in (("nobody", 404), ("", 404), (2**62, 404), ("a\x00b", 400)):
        status, body_form = await client.post("/admin/credits/grant", {**GRANT, "account": account})
        assert (status, body_form["error"]["param"]) == (expected, "account")
    status, body_form = await client.post("/admin/credits/grant", {"account": "test"})
    assert (status, body_form["error"]["param"]) == (400, "amount")


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/usage?first=2026-02-30", "first"),
        ("/v1/usage?first=2026-03-02&last=2026-03-01", "first"),
        ("/v1/usage?first=0001-01-01&last=9999-12-31", "first"),
        ("/v1/usage?last=0001-01-01", None),
        ("/v1/usage?by=day,day", None),
        ("/v1/usage?by=account", "by"),
        ("/v1/usage?limit=0", "limit"),
        ("/v1/usage?format=xml", "format"),
        ("/v1/usage?key=%00", "key"),
        ("/v1/credits?x=1", "x"),
        ("/v1/generation/gen_1?x=1", "x"),
    ],
)
async def test_what_an_account_cannot_ask_is_refused_by_name(client: Client, path: str, param: str | None) -> None:
    status, body = await client.get(path)
    assert (status, body.get("error", {}).get("param")) == ((400, param) if param else (200, None))


async def test_admins_list_balances_and_the_ledger(client: Client) -> None:
    await client.post("/admin/credits/grant", GRANT)
    await settle(client.gateway, 1)
    status, body = await client.get("/admin/credits", client.admin)
    assert status == 200
    available = [(row["account"], row["balance"]["available"]) for row in body["data"]]
    assert available == [("admin", "0"), ("test", "2.499999999")]
    assert (await client.get("/admin/credits?account=test", client.admin))[1]["total"] == 1
    status, body = await client.get("/admin/credits/ledger?account=test&limit=1", client.admin)
    (capture,) = body["data"]
    assert (status, capture["kind"], capture["entries"]) == (
        200,
        "capture",
        {"purchased": "-0.000000001", "revenue": "0.000000001"},
    )
    next_page = f"/admin/credits/ledger?account=test&limit=5&before={body['next_before']}"
    (grant,) = (await client.get(next_page, client.admin))[1]["data"]
    assert (grant["reason"], grant["reference"], grant["entries"]) == (
        "a gift",
        "gift-1",
        {"purchased": "2.5", "grants": "-2.5"},
    )
    status, body = await client.get("/admin/credits/ledger?kind=capture", client.admin)
    assert [row["kind"] for row in body["data"]] == ["capture"]
    assert (await client.get("/admin/credits?account=%00", client.admin))[0] == 400


async def test_only_an_admin_gives_and_lists_credits(client: Client) -> None:
    for path in ("/admin/credits", "/admin/credits/ledger"):
        assert (await client.get(path))[0] == 403
        assert (await client.get(path, "gw_live_nobody"))[0] == 401
    for what in ("grant", "adjust", "refund"):
        # A stranger is not told what the body should have been.
        assert (await client.post(f"/admin/credits/{what}", b"{", client.gateway.api_key))[0] == 403
    for path in ("/v1/credits", "/v1/usage", "/v1/generation/x"):
        assert (await client.get(path, "gw_live_nobody"))[0] == 401


async def test_credits_are_in_the_openapi_document(client: Client) -> None:
    _, document = await client.get("/openapi.json")
    change = document["paths"]["/admin/credits/grant"]["post"]
    assert change["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/GrantForm"}
    assert document["components"]["schemas"]["GrantForm"]["required"] == ["account", "amount", "reason", "reference"]
    assert {"400", "401", "403", "404", "409"} <= change["responses"].keys()
    usage = document["paths"]["/v1/usage"]["get"]
    assert [each["name"] for each in usage["parameters"]] == ["first", "last", "by", "key", "format", "limit", "offset"]


async def test_the_metrics_say_that_nothing_drifts(client: Client) -> None:
    _, text = await client.text("/metrics")
    assert "ledger_drift_nano_usd 0.0" in text
