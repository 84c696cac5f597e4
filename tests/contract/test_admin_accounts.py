"""Accounts, plans, limits and the audit log over the admin API."""

import time
from typing import Any

import asyncpg
import pytest
from tests.support.administered import Administered
from tests.support.fleet import psql

DAY = 86_400


async def plan(administered: Administered, plan_id: str, **terms: object) -> dict[str, Any]:
    made = await administered.ask("POST", "/admin/plans", {"id": plan_id, **terms})
    assert made.status == 201, made.body
    form: dict[str, Any] = made.body
    return form


async def effective(administered: Administered, path: str) -> dict[tuple[str, str, int], int]:
    found = (await administered.ask("GET", path)).body
    return {(each["subject"], each["measure"], each["window"]): each["amount"] for each in found["effective"]}


async def test_an_account_is_made_changed_and_listed(administered: Administered) -> None:
    identity = {"issuer": "https://login.example", "subject": "the-subject-1"}
    account = await administered.account(username="acme", identity=identity)
    assert (account["identity_issuer"], account["is_active"], account["plan"]) == (identity["issuer"], True, None)
    assert "the-subject-1" not in str(account)
    assert (await administered.ask("GET", f"/admin/accounts/{account['id']}")).body == account
    listed = (await administered.ask("GET", "/admin/accounts?username=acme")).body
    assert (listed["data"], listed["total"]) == ([account], 1)
    renamed = await administered.ask("PATCH", f"/admin/accounts/{account['id']}", {"username": "acme 2"})
    assert renamed == (200, {**account, "username": "acme 2"})


async def test_names_and_identities_are_taken_once(administered: Administered) -> None:
    identity = {"issuer": "https://login.example", "subject": "the-subject-2"}
    one = await administered.account(identity=identity)
    again = await administered.ask("POST", "/admin/accounts", {"username": one["username"]})
    assert again.error == (409, "conflict", "username")
    again = await administered.ask("POST", "/admin/accounts", {"username": "other", "identity": identity})
    assert again.error == (409, "conflict", "identity")


async def test_a_suspended_account_has_no_valid_key_until_it_is_active_again(administered: Administered) -> None:
    key = await administered.key()
    path = f"/admin/accounts/{key['account_id']}"
    assert await administered.chat(key["key"]) == 200
    await administered.ask("PATCH", path, {"is_active": False})
    assert await administered.chat(key["key"]) == 401
    await administered.ask("PATCH", path, {"is_active": True})
    assert await administered.chat(key["key"]) == 200


async def test_limits_are_the_plans_then_the_accounts_and_the_keys_beside_them(administered: Administered) -> None:
    limits = {"requests_per_minute": 60, "tokens_per_day": 1000, "concurrent": 4}
    await plan(administered, "limited", limits=limits)
    key = await administered.key()
    account, of_key = f"/admin/limits/accounts/{key['account_id']}", f"/admin/limits/keys/{key['id']}"
    await administered.ask("PATCH", f"/admin/accounts/{key['account_id']}", {"plan": "limited"})
    from_plan = {("account", "requests", 60): 60, ("account", "tokens", DAY): 1000, ("account", "concurrent", 0): 4}
    assert await effective(administered, account) == from_plan
    put = await administered.ask("PUT", account, {"limits": {"requests_per_minute": 600, "concurrent": None}})
    assert (put.status, put.body["own"]) == (200, {"requests_per_minute": 600, "concurrent": None})
    of_account = {("account", "requests", 60): 600, ("account", "tokens", DAY): 1000}
    assert await effective(administered, account) == of_account
    await administered.ask("PUT", of_key, {"limits": {"requests_per_minute": 6}})
    assert await effective(administered, of_key) == {**of_account, ("key", "requests", 60): 6}
    said = (await administered.ask("GET", "/v1/key", key=key["key"])).body["limits"]
    assert len(said) == 3
    await administered.ask("PATCH", "/admin/plans/limited", {"limits": {"tokens_per_day": 7}})
    assert (await effective(administered, of_key))["account", "tokens", DAY] == 7


async def test_a_plan_is_made_changed_and_deleted_once_nobody_has_it(administered: Administered) -> None:
    team = await plan(administered, "team", allowance="20")
    assert (team["name"], team["allowance"], team["limits"]) == ("team", "20", {})
    assert (await administered.ask("POST", "/admin/plans", {"id": "team"})).error == (409, "conflict", "id")
    changed = await administered.ask("PATCH", "/admin/plans/team", {"name": "Team", "allowance": "25.5"})
    assert changed == (200, {**team, "name": "Team", "allowance": "25.5"})
    account = await administered.account(plan="team")
    assert (await administered.ask("DELETE", "/admin/plans/team")).error[:2] == (409, "conflict")
    await administered.ask("PATCH", f"/admin/accounts/{account['id']}", {"plan": None})
    assert (await administered.ask("DELETE", "/admin/plans/team?reason=over")).status == 204
    assert (await administered.ask("GET", "/admin/plans/team")).error[:2] == (404, "not_found")
    assert "team" not in [each["id"] for each in (await administered.ask("GET", "/admin/plans")).body["data"]]


async def test_a_plan_ends_and_another_follows(administered: Administered) -> None:
    await plan(administered, "now")
    await plan(administered, "later")
    until = int(time.time()) + DAY
    account = await administered.account(plan="now", plan_ends_at=until, next_plan="later")
    assert (account["plan"], account["plan_ends_at"], account["next_plan"]) == ("now", until, "later")
    path = f"/admin/accounts/{account['id']}"
    assert (await administered.ask("PATCH", path, {"plan_ends_at": None})).error == (
        400,
        "invalid_request",
        "plan_ends_at",
    )
    assert (await administered.ask("PATCH", path, {"plan_ends_at": None, "next_plan": None})).status == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"plan": "no-such"}, "plan"),
        ({"plan": "No Such"}, "plan"),
        ({"plan_ends_at": 5}, "plan_ends_at"),
        ({"is_active": "yes"}, "is_active"),
        ({"identity": {"issuer": "x"}}, "identity.subject"),
        ({"identity": {"issuer": "x", "subject": "a\u0007"}}, "identity.subject"),
        ({"credits": "5"}, "credits"),
    ],
)
async def test_a_change_of_an_account_that_cannot_be_is_refused_by_its_field(
    administered: Administered, body: dict[str, Any], field: str
) -> None:
    account = await administered.account()
    refused = await administered.ask("PATCH", f"/admin/accounts/{account['id']}", body)
    assert refused.error == (400, "invalid_request", field)


@pytest.mark.parametrize("username", ["%00", "%20x", "%0A"])
async def test_a_name_that_no_account_can_have_is_refused(administered: Administered, username: str) -> None:
    refused = await administered.ask("GET", f"/admin/accounts?username={username}")
    assert refused.error == (400, "invalid_request", "username")


async def test_a_trial_begins_changes_and_ends(administered: Administered) -> None:
    account = await administered.account()
    path = f"/admin/accounts/{account['id']}/trial"
    assert (await administered.ask("GET", path)).error[:2] == (404, "not_found")
    until = int(time.time()) + DAY
    begun = (await administered.ask("PUT", path, {"allowance": "5", "ends_at": until})).body
    assert (begun["allowance"], begun["ends_at"]) == ("5", until)
    changed = (await administered.ask("PUT", path, {"allowance": "6", "ends_at": until})).body
    assert changed == {**begun, "allowance": "6"}
    assert (await administered.ask("PUT", path, {"allowance": "6", "ends_at": 5})).error[2] == "ends_at"
    assert (await administered.ask("DELETE", path)).status == 204
    assert (await administered.ask("DELETE", path)).error[:2] == (404, "not_found")
    assert (await administered.ask("PUT", "/admin/accounts/999999/trial", {"allowance": "5", "ends_at": until})).error[
        :2
    ] == (404, "not_found")


async def test_the_audit_log_says_who_changed_what_and_why(administered: Administered) -> None:
    key = await administered.key(reason="for the nightly run")
    await administered.ask("PATCH", f"/admin/keys/{key['id']}", {"budget": "5", "reason": "too dear"})
    await administered.ask("DELETE", f"/admin/keys/{key['id']}?reason=leaked")
    found = (await administered.ask("GET", f"/admin/audit?target={key['id']}")).body
    assert [(row["action"], row["reason"]) for row in found["data"]] == [
        ("key.revoke", "leaked"),
        ("key.change", "too dear"),
        ("key.create", "for the nightly run"),
    ]
    assert found["total"] == 3
    assert {row["actor"] for row in found["data"]} == {administered.key_id}
    _, change, create = found["data"]
    assert (change["before"], change["after"]) == ({"budget": None}, {"budget": 5_000_000_000})
    assert (create["before"], create["after"]["name"]) == ({}, "k")
    assert key["key"] not in str(found)
    await administered.ask("PATCH", f"/admin/accounts/{key['account_id']}", {"is_active": True})
    assert (await administered.ask("GET", f"/admin/audit?target={key['account_id']}")).body["total"] == 1
    assert "digest" not in str(found)
    of_commands = (await administered.ask("GET", "/admin/audit?actor=cli&limit=1")).body
    assert of_commands["data"][0]["actor"] == "cli"


@pytest.mark.parametrize(
    "change", ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
@pytest.mark.parametrize("as_replica", [True, False])
async def test_the_audit_log_takes_additions_only(administered: Administered, change: str, *, as_replica: bool) -> None:
    async with psql(administered.gateway.settings) as db:
        before = await db.fetchval("SELECT count(*) FROM audit_log")
        if as_replica:
            await db.execute("SET session_replication_role = replica")
        with pytest.raises(asyncpg.RestrictViolationError, match="only added to"):
            await db.execute(change)
        assert await db.fetchval("SELECT count(*) FROM audit_log") == before > 0


async def test_every_route_is_in_the_openapi_document_with_its_forms(administered: Administered) -> None:
    document = (await administered.ask("GET", "/openapi.json")).body
    paths = {path: set(methods) for path, methods in document["paths"].items() if path.startswith("/admin")}
    of_accounts = {
        "/admin/accounts": {"get", "post"},
        "/admin/accounts/{account_id}": {"get", "patch"},
        "/admin/accounts/{account_id}/trial": {"get", "put", "delete"},
        "/admin/keys": {"get", "post"},
        "/admin/keys/{key_id}": {"get", "patch", "delete"},
        "/admin/keys/{key_id}/rotate": {"post"},
        "/admin/plans": {"get", "post"},
        "/admin/plans/{plan_id}": {"get", "patch", "delete"},
        "/admin/limits/accounts/{account_id}": {"get", "put"},
        "/admin/limits/keys/{key_id}": {"get", "put"},
        "/admin/audit": {"get"},
        "/admin/credits": {"get"},
        "/admin/credits/adjust": {"post"},
        "/admin/credits/grant": {"post"},
        "/admin/credits/ledger": {"get"},
        "/admin/credits/refund": {"post"},
    }
    assert of_accounts.items() <= paths.items()
    for path, methods in document["paths"].items():
        for operation in methods.values() if path.startswith(("/admin", "/v1/key")) else ():
            assert operation["security"] == [{"bearer": []}]
            assert {"400", "401", "403"} <= operation["responses"].keys()
            assert "422" not in operation["responses"]
    assert "ValidationError" not in str(document["components"]["schemas"].keys())
