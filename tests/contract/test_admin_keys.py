"""Keys over the admin API."""

import re
import time
from io import BytesIO
from typing import Any

import pytest
from tests.support.administered import CHAT, Administered

HOUR = 3600


async def test_a_key_is_made_shown_once_and_works(administered: Administered) -> None:
    key = await administered.key(scopes=["inference"], environment="test")
    assert re.fullmatch(r"gw_test_[0-9A-Za-z]{49}", key["key"])
    assert (key["last_four"], key["environment"]) == (key["key"][-4:], "test")
    shown = (await administered.ask("GET", f"/admin/keys/{key['id']}")).body
    assert shown == {name: value for name, value in key.items() if name != "key"}
    assert await administered.chat(key["key"]) == 200


async def test_a_key_without_more_words_may_send_requests_and_read_its_account(administered: Administered) -> None:
    key = await administered.key()
    assert key["scopes"] == ["inference", "account"]
    assert (key["models"], key["networks"], key["limits"], key["budget"], key["expires_at"]) == ([], [], {}, None, None)


async def test_what_is_named_changes_and_the_rest_stays(administered: Administered) -> None:
    key = await administered.key(budget="2.50", budget_period="month", models=["openai/*"])
    path = f"/admin/keys/{key['id']}"
    until = int(time.time()) + HOUR
    changed = await administered.ask("PATCH", path, {"name": "renamed", "expires_at": until})
    expected = {**key, "name": "renamed", "expires_at": until}
    del expected["key"]
    assert changed == (200, expected)
    changed = await administered.ask("PATCH", path, {"budget": None, "expires_at": None, "limits": {"concurrent": 3}})
    assert changed == (200, {**expected, "budget": None, "expires_at": None, "limits": {"concurrent": 3}})


async def test_keys_are_listed_a_page_at_a_time(administered: Administered) -> None:
    account = await administered.account()
    ids = [(await administered.key(account_id=account["id"], name=f"n{number}"))["id"] for number in range(3)]
    path = f"/admin/keys?account_id={account['id']}"
    first = (await administered.ask("GET", f"{path}&limit=2")).body
    assert [key["id"] for key in first["data"]] == ids[:2]
    assert (first["object"], first["total"], first["limit"], first["offset"]) == ("list", 3, 2, 0)
    assert [key["id"] for key in (await administered.ask("GET", f"{path}&offset=2")).body["data"]] == ids[2:]
    everything = (await administered.ask("GET", "/admin/keys?limit=1000")).body
    assert everything["total"] == len(everything["data"]) > 3
    assert all("key" not in key and "digest" not in str(key) for key in everything["data"])


async def test_a_rotated_key_has_a_new_secret_and_the_old_one_is_refused_at_once(administered: Administered) -> None:
    key = await administered.key()
    assert await administered.chat(key["key"]) == 200
    rotated = (await administered.ask("POST", f"/admin/keys/{key['id']}/rotate", {})).body
    assert rotated["id"] == key["id"]
    assert (await administered.chat(key["key"]), await administered.chat(rotated["key"])) == (401, 200)


async def test_both_secrets_are_good_in_the_overlap_and_a_revocation_ends_both(administered: Administered) -> None:
    key = await administered.key()
    path = f"/admin/keys/{key['id']}"
    rotated = (await administered.ask("POST", f"{path}/rotate", {"overlap": HOUR})).body
    assert rotated["former_expires_at"] == pytest.approx(time.time() + HOUR, abs=30)
    assert (await administered.chat(key["key"]), await administered.chat(rotated["key"])) == (200, 200)
    again = (await administered.ask("POST", f"{path}/rotate", {"overlap": HOUR})).body
    assert await administered.chat(key["key"]) == 401
    assert (await administered.chat(rotated["key"]), await administered.chat(again["key"])) == (200, 200)
    await administered.ask("DELETE", path)
    assert (await administered.chat(rotated["key"]), await administered.chat(again["key"])) == (401, 401)


async def test_a_revoked_key_is_refused_and_stays_as_it_is(administered: Administered) -> None:
    key = await administered.key()
    path = f"/admin/keys/{key['id']}"
    assert await administered.chat(key["key"]) == 200
    revoked = await administered.ask("DELETE", f"{path}?reason=leaked")
    assert revoked.status == 200
    assert revoked.body["revoked_at"] is not None
    assert await administered.chat(key["key"]) == 401
    assert await administered.ask("DELETE", path) == revoked
    assert (await administered.ask("PATCH", path, {"name": "x"})).error == (409, "conflict", None)
    assert (await administered.ask("POST", f"{path}/rotate", {})).error == (409, "conflict", None)


async def test_a_key_for_some_models_is_refused_others(administered: Administered) -> None:
    key = await administered.key(models=["openai/*", "Demo/Echo"])
    assert await administered.chat(key["key"]) == 200
    await administered.ask("PATCH", f"/admin/keys/{key['id']}", {"models": ["openai/*"]})
    refused = await administered.ask("POST", "/v1/chat/completions", CHAT, key=key["key"])
    assert refused.error == (403, "model_not_allowed", "model")
    assert "'demo/echo'" in refused.body["error"]["message"]
    assert refused.body["error"]["type"] == "permission_error"


async def test_a_key_for_some_networks_is_refused_from_others(administered: Administered) -> None:
    key = await administered.key(networks=["192.0.2.0/24", "2001:db8::1"])
    assert key["networks"] == ["192.0.2.0/24", "2001:db8::1/128"]
    refused = await administered.ask("POST", "/v1/chat/completions", CHAT, key=key["key"])
    assert refused.error == (403, "address_not_allowed", None)
    assert "127.0.0.1" in refused.body["error"]["message"]
    await administered.ask("PATCH", f"/admin/keys/{key['id']}", {"networks": ["127.0.0.0/8"]})
    assert await administered.chat(key["key"]) == 200


async def test_a_key_is_refused_what_its_scopes_do_not_name(administered: Administered) -> None:
    key = await administered.key(scopes=["account"])
    refused = await administered.ask("POST", "/v1/chat/completions", CHAT, key=key["key"])
    assert refused.error == (403, "insufficient_permissions", None)
    assert (await administered.ask("GET", "/admin/keys", key=key["key"])).status == 403
    assert (await administered.ask("GET", "/v1/key", key=key["key"])).status == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"nmae": "x"}, "nmae"),
        ({"\ud800": "x"}, ""),
        ({"limits": {"\ud800": 1}}, "limits"),
        ({"limits": {"\u0000": 1}}, "limits"),
        ({"name": ""}, "name"),
        ({"name": "a\u0000b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": None}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes"),
        ({"scopes": "admin"}, "scopes"),
        ({"models": ["*"]}, "models"),
        ({"models": ["open*"]}, "models"),
        ({"models": ["a b"]}, "models"),
        ({"models": [f"a/{number}" for number in range(101)]}, "models"),
        ({"networks": ["192.0.2.1/24"]}, "networks"),
        ({"networks": ["localhost"]}, "networks"),
        ({"limits": {"requests_per_year": 1}}, "limits.requests_per_year"),
        ({"limits": {"concurrent": 0}}, "limits.concurrent"),
        ({"limits": {"concurrent": True}}, "limits.concurrent"),
        ({"limits": {"concurrent": 10**30}}, "limits.concurrent"),
        ({"budget": 5}, "budget"),
        ({"budget": "-5"}, "budget"),
        ({"budget": "1e3"}, "budget"),
        ({"budget": "0"}, "budget"),
        ({"budget": "0.0000000001"}, "budget"),
        ({"budget_period": "year"}, "budget_period"),
        ({"expires_at": 1}, "expires_at"),
        ({"expires_at": 10**30}, "expires_at"),
        ({"expires_at": "2030-01-01"}, "expires_at"),
        ({"reason": "a\nb"}, "reason"),
        ({"environment": "test"}, "environment"),
    ],
)
async def test_a_change_that_cannot_be_is_refused_by_its_field(
    administered: Administered, body: dict[str, Any], field: str
) -> None:
    key = await administered.key()
    refused = await administered.ask("PATCH", f"/admin/keys/{key['id']}", body)
    assert refused.status == 400, refused.body
    assert refused.error == (400, "invalid_request", refused.body["error"]["param"])
    assert (refused.body["error"]["param"] or "").startswith(field)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/admin/keys/key_0", 404, "not_found"),
        ("PATCH", "/admin/keys/key_0", 404, "not_found"),
        ("DELETE", "/admin/keys/key_0", 404, "not_found"),
        ("POST", "/admin/keys/key_0/rotate", 404, "not_found"),
        ("GET", "/admin/keys/%00", 400, "invalid_request"),
        ("GET", "/admin/keys?limit=0", 400, "invalid_request"),
        ("GET", "/admin/keys?limt=5", 400, "invalid_request"),
        ("GET", "/admin/keys?limit=5&limit=6", 400, "invalid_request"),
        ("GET", "/admin/keys?account_id=99999999999999999999", 400, "invalid_request"),
        ("PUT", "/admin/keys", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_there_or_not_understood_is_said_in_our_form(
    administered: Administered, method: str, path: str, status: int, code: str
) -> None:
    refused = await administered.ask(method, path, {} if method in ("PATCH", "POST") else None)
    assert refused.error[:2] == (status, code)


async def test_a_key_of_an_account_that_is_not_there_is_refused(administered: Administered) -> None:
    refused = await administered.ask("POST", "/admin/keys", {"name": "x", "account_id": 10**9})
    assert refused.error[:2] == (404, "not_found")


async def test_nobody_without_the_admin_key_learns_anything(administered: Administered) -> None:
    key = await administered.key(scopes=["inference", "account"])
    for method, path in (("GET", "/admin/keys"), ("POST", "/admin/keys"), ("DELETE", f"/admin/keys/{key['id']}")):
        assert (await administered.ask(method, path, {"wrong": 1}, key=key["key"])).error[:2] == (
            403,
            "insufficient_permissions",
        )
        assert (await administered.ask(method, path, key="gw_live_nobody")).error[:2] == (401, "invalid_api_key")


async def test_bodies_that_are_no_json_or_too_large_are_refused(administered: Administered) -> None:
    gateway, client = administered.gateway, administered.client
    headers = {"content-type": "application/json"}
    for data, status in ((b"{", 400), (b"\xff", 400), (b"[]", 400), (b"", 400), (BytesIO(b" " * 2_000_000), 413)):
        async with client.post(gateway.at("/admin/keys"), data=data, headers=headers) as answer:
            assert (answer.status, (await answer.json())["error"]["type"]) == (status, "invalid_request_error")


async def test_a_key_may_ask_what_it_is(administered: Administered) -> None:
    await administered.ask("POST", "/admin/plans", {"id": "own-key", "limits": {"requests_per_minute": 5}})
    account = await administered.account(plan="own-key")
    until = int(time.time()) + HOUR
    await administered.ask("PUT", f"/admin/accounts/{account['id']}/trial", {"allowance": "5", "ends_at": until})
    key = await administered.key(account_id=account["id"], limits={"concurrent": 2}, budget="25")
    said = (await administered.ask("GET", "/v1/key", key=key["key"])).body
    assert said["key"] == {name: value for name, value in key.items() if name != "key"}
    assert said["limits"] == [
        {"subject": "key", "measure": "concurrent", "window": 0, "amount": 2},
        {"subject": "account", "measure": "requests", "window": 60, "amount": 5},
    ]
    assert (said["plan"]["id"], said["trial"]["allowance"], said["trial"]["ends_at"]) == ("own-key", "5", until)
