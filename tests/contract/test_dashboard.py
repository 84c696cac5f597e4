"""The dashboard's page and sessions, asked as a browser asks."""

import re

import pytest
from tests.support.administered import Administered
from tests.support.fake_clock import FakeClock

from gatewayz.accounts.digest import KeyDigester
from gatewayz.accounts.scopes import ADMIN
from gatewayz.dashboard.sessions import COOKIE, LASTS, DashboardSessions

ACCOUNTS = "/admin/accounts"


class Browser:
    """What a browser would send after signing in: the cookie by itself, the token from the page."""

    def __init__(self, administered: Administered, cookie: str, token: str, flags: str) -> None:
        self._administered = administered
        self.shown = {"Cookie": f"{COOKIE}={cookie}", "x-csrf-token": token}
        self.flags = flags

    async def status(self, method: str, path: str, without: str = "", **change: str) -> int:
        headers = {name: value for name, value in (self.shown | change).items() if name != without}
        gateway = self._administered.gateway
        async with gateway.client() as client, client.request(method, gateway.at(path), headers=headers) as answer:
            return answer.status


async def signed_in(administered: Administered, key: str, **headers: str) -> Browser:
    gateway = administered.gateway
    shown = {"Authorization": f"Bearer {key}", **headers}
    async with gateway.client() as client, client.post(gateway.at("/dashboard/session"), headers=shown) as answer:
        assert answer.status == 200
        cookie, _, flags = answer.headers["set-cookie"].partition(";")
        return Browser(administered, cookie.partition("=")[2], (await answer.json())["token"], flags)


@pytest.fixture
async def admin_key(administered: Administered) -> dict[str, str]:
    made = await administered.key(scopes=[ADMIN])
    return {"id": made["id"], "key": made["key"]}


async def test_a_session_stands_for_its_admin_key_where_one_is_wanted(
    administered: Administered, admin_key: dict[str, str]
) -> None:
    browser = await signed_in(administered, admin_key["key"])
    assert await browser.status("GET", ACCOUNTS) == 200
    assert await browser.status("GET", "/api/system/cache/stats") == 200
    assert await browser.status("GET", "/v1/key") == 401


async def test_neither_cookie_nor_token_counts_alone_or_changed(
    administered: Administered, admin_key: dict[str, str]
) -> None:
    browser = await signed_in(administered, admin_key["key"])
    other = await signed_in(administered, admin_key["key"])
    for method in ("GET", "POST"):
        assert await browser.status(method, ACCOUNTS, without="Cookie") == 401
        assert await browser.status(method, ACCOUNTS, without="x-csrf-token") == 401
        assert await browser.status(method, ACCOUNTS, **{"x-csrf-token": other.shown["x-csrf-token"]}) == 401
    for cookie in ("", "é", "A", "A" * 120, browser.shown["Cookie"][:-8] + "AAAAAAAA"):
        assert await browser.status("GET", ACCOUNTS, Cookie=f"{COOKIE}={cookie}") == 401


async def test_a_session_ends_with_its_key(administered: Administered, admin_key: dict[str, str]) -> None:
    browser = await signed_in(administered, admin_key["key"])
    assert (await administered.ask("DELETE", f"/admin/keys/{admin_key['id']}")).status in {200, 204}
    assert await browser.status("GET", ACCOUNTS) == 401


async def test_only_an_admin_key_begins_a_session(administered: Administered, admin_key: dict[str, str]) -> None:
    plain = (await administered.key())["key"]
    assert (await administered.ask("POST", "/dashboard/session", key=plain)).status == 403
    assert (await administered.ask("POST", "/dashboard/session", key="wrong")).status == 401
    browser = await signed_in(administered, admin_key["key"])
    assert await browser.status("POST", "/dashboard/session") == 400


async def test_the_cookie_is_for_this_site_only_and_no_script(
    administered: Administered, admin_key: dict[str, str]
) -> None:
    plain = await signed_in(administered, admin_key["key"])
    assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={LASTS}"} <= set(plain.flags.strip().split("; "))
    assert "Secure" in (await signed_in(administered, admin_key["key"], **{"x-forwarded-proto": "https"})).flags
    assert admin_key["key"] not in plain.shown["Cookie"]


async def test_the_page_runs_nothing_but_files_of_ours(administered: Administered) -> None:
    gateway = administered.gateway
    async with gateway.client() as client:
        async with client.get(gateway.at("/dashboard")) as answer:
            page, policy, etag = await answer.text(), answer.headers["content-security-policy"], answer.headers["etag"]
        assert "unsafe" not in policy
        assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy.split("; "))
        async with client.get(gateway.at("/dashboard"), headers={"If-None-Match": etag}) as answer:
            assert answer.status == 304
        found = re.findall(r'(?:src|href)="(/[^"]+)"', page)
        assert len(found) == 3
        for path in found:
            async with client.get(gateway.at(path)) as answer:
                assert answer.status == 200, path
        async with client.get(gateway.at("/dashboard/static/..%2Froutes.py")) as answer:
            assert answer.status == 404


def test_a_session_ends_by_itself_and_any_worker_knows_it(clock: FakeClock) -> None:
    digester = KeyDigester(b"p" * 32)
    begun = DashboardSessions(digester, clock).begin("key")
    another = DashboardSessions(digester, clock)
    request = {
        "headers": [(b"cookie", f"{COOKIE}={begun.cookie}".encode()), (b"x-csrf-token", begun.token.encode())],
    }
    assert another.key_of(request) == digester.digest("key")
    clock.advance(LASTS + 1)
    assert another.key_of(request) is None
