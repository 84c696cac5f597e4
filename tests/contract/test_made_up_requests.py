"""Whatever is sent to the admin API, it answers in its own form and never fails."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.administered import Administered

FIELDS = (
    *("name", "username", "account_id", "scopes", "models", "networks", "limits", "budget", "budget_period", "reason"),
    *("expires_at", "is_active", "plan", "plan_ends_at", "next_plan", "identity", "allowance", "ends_at", "overlap"),
    *("id", "environment", "pays_unknown_prices"),
)
HALVES = st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF, categories=["Cs"])
TEXTS = (
    st.text(max_size=12)
    | st.text(HALVES | st.sampled_from("a/*"), max_size=4)
    | st.sampled_from(
        [
            "",
            "team",
            "0",
            "2.50",
            "1e9",
            "NaN",
            "a/b",
            "a/*",
            "10.0.0.0/8",
            "::/0",
            "inference",
            "\u0000",
            "\ud800",
            "é" * 300,
        ]
    )
)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([0, 1, 2**63 - 1, 2**63, 4e9, 1e308])
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS
NAMES = st.sampled_from([*FIELDS, "requests_per_minute", "concurrent", "issuer", "subject"]) | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
ROUTES = (
    *(("POST", f"/admin/{what}") for what in ("accounts", "keys", "plans", "keys/{key}/rotate")),
    *(("PATCH", f"/admin/{what}") for what in ("accounts/{account}", "keys/{key}", "plans/team")),
    *(
        ("PUT", f"/admin/{what}")
        for what in ("accounts/{account}/trial", "limits/accounts/{account}", "limits/keys/{key}")
    ),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(route=st.sampled_from(ROUTES), body=st.dictionaries(NAMES, VALUES, max_size=4) | VALUES)
async def test_no_body_makes_the_admin_api_fail(
    administered: Administered, target: dict[str, Any], route: tuple[str, str], body: object
) -> None:
    method, path = route
    path = path.format(key=target["id"], account=target["account_id"])
    data = json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    gateway = administered.gateway
    async with administered.client.request(method, gateway.at(path), data=data, headers=headers) as answer:
        said = await answer.json()
        assert answer.status in (200, 201, 400, 404, 409), (data, said)
        if answer.status >= 400:
            assert said["error"].keys() == {"message", "type", "param", "code"}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["/admin/keys", "/admin/accounts", "/admin/plans", "/admin/audit", "/v1/key", "/admin/keys/"]),
    query=st.text(st.sampled_from("abclimtoffse=&%0123456789F-+_ktgru"), max_size=24),
)
async def test_no_query_makes_the_admin_api_fail(administered: Administered, path: str, query: str) -> None:
    async with administered.client.get(administered.gateway.at(f"{path}?{query}"), allow_redirects=False) as answer:
        assert answer.status in (200, 307, 400, 404)


@pytest.fixture(scope="module")
async def target(administered: Administered) -> dict[str, Any]:
    await administered.ask("POST", "/admin/plans", {"id": "team"})
    return await administered.key()
