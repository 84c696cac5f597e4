"""The dashboard in a real Chromium, before a real `gatewayz serve` of two workers under real traffic."""

import json
import time
from functools import partial
from typing import Any

import pytest
from selenium.webdriver import Keys
from tests.support.chromium import Browser
from tests.support.watched import ADMIN, MODEL, Watched

pytestmark = pytest.mark.slow

VIEWS = {
    "Cache": "Live cache",
    "Explain": "Why a read is a hit, or not",
    "Health": "Health",
    "Jobs": "Jobs of the fleet",
    "Catalog": "Catalog",
    "Accounts": "Accounts, keys and credits",
    "Limits": "Limits",
}
TABLES = {"Cache": "Entity", "Health": "Provider", "Jobs": "Job", "Catalog": "Model", "Accounts": "Account"}
"""What a view shows first, by the heading of its first column."""
SIGN_IN = "//h1[.='Sign in to gatewayz']"
LUMINANCES = """
const luminance = (color) => {
  const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3)
    .map((part) => part / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const shown = [...document.querySelectorAll('h1, label, a, button, th, td, b, span, .quiet')]
  .filter((e) => e.offsetWidth && e.textContent);
const behind = (e) => {
  const color = getComputedStyle(e).backgroundColor;
  return color === 'rgba(0, 0, 0, 0)' && e.parentElement ? behind(e.parentElement) : color;
};
return shown.map((e) => [e.textContent.slice(0, 40), luminance(getComputedStyle(e).color), luminance(behind(e))]);
"""


def go_to(dashboard: Browser, view: str) -> None:
    dashboard.press(view)
    dashboard.find(f"//main/h1[.='{VIEWS[view]}']")


def tile(dashboard: Browser, label: str) -> str:
    return dashboard.find(f"//*[@class='tile'][span='{label}']/b").text


def entity(dashboard: Browser, name: str) -> list[str]:
    return next((row for row in dashboard.rows("Entity") if row[0] == name), [])


def money(text: str) -> float:
    return float(text.removeprefix("$"))


def test_a_wrong_key_is_told_and_opens_nothing(signed_out: Browser, watched: Watched) -> None:
    signed_out.fill("Admin key", "gw_live_of-somebody-else")
    signed_out.press("Sign in")
    assert "key" in signed_out.find("//*[@id='said'][text()]").text
    signed_out.find(SIGN_IN)
    (line,) = signed_out.console()
    assert f"{watched.url}/dashboard/session" in line
    assert "401" in line


def test_hit_rate_and_savings_move_while_traffic_is_driven(dashboard: Browser, watched: Watched) -> None:
    key = watched.customer("traffic")
    before = money(tile(dashboard, "saved by kept answers"))
    assert watched.chat(key, "driven") == 200

    def saved() -> bool:
        assert watched.chat(key, "driven") == 200
        return money(tile(dashboard, "saved by kept answers")) > before

    dashboard.until(saved, "savings that grow")
    seen = entity(dashboard, "chat"), tile(dashboard, "hit rate since the start")

    def moved() -> bool:
        assert watched.chat(key, "driven") == 200
        return seen[0] != entity(dashboard, "chat") and seen[1] != tile(dashboard, "hit rate since the start")

    dashboard.until(moved, "a hit rate that moves")
    assert (dashboard.find("//*[@class='chart']").get_attribute("aria-label") or "").endswith("% now")


def test_clearing_one_gateway_reaches_both_workers(dashboard: Browser, watched: Watched) -> None:
    def held() -> dict[int, Any] | None:
        watched.ask("GET", f"/v1/models/{MODEL}")
        told = watched.explained("models:catalog:full", "")
        return told if all(said["l1"]["is_hit"] for said in told.values()) else None

    before = dashboard.until(held, "a catalog in the memory of both workers")
    began = time.monotonic()
    dashboard.fill("Gateway, such as openai", "openai")
    dashboard.press("Clear")
    assert "by every worker" in dashboard.find("//*[starts-with(normalize-space(), 'openai: forgotten')]").text
    after = watched.explained("models:catalog:full", "")
    assert after.keys() == before.keys()
    for said in after.values():
        since = time.monotonic() - began
        assert said["last_invalidation"]["seconds_ago"] <= since
        assert said["l1"]["age"] is None or said["l1"]["age"] <= since, "held since before it was cleared"
    _, audit = watched.ask("GET", "/admin/audit?limit=1")
    assert (audit["data"][0]["action"], audit["data"][0]["target"]) == ("cache.clear", "gateway=openai")


def test_the_catalog_is_searched_and_prices_are_compared(dashboard: Browser) -> None:
    go_to(dashboard, "Catalog")
    assert len(dashboard.until(lambda: dashboard.rows("Model"), "offers")) > 20
    dashboard.fill("Words in the model or provider", "llama-3.3-70b")
    dashboard.press("Search")

    def only_these() -> list[list[str]]:
        rows = dashboard.rows("Model")
        return rows if all("llama-3.3-70b" in row[0] for row in rows) else []

    found = dashboard.until(only_these, "only what was searched for")
    names = [row[0] for row in found]
    many = max(names, key=names.count)
    dashboard.press(many)
    rows = dashboard.until(lambda: dashboard.rows("Provider"), "prices by provider")
    prices = [money(row[1]) for row in rows if row[1] != "unknown"]
    assert len(rows) >= 2
    assert len(prices) >= 2
    assert prices == sorted(prices)
    dashboard.find(f"//h2[starts-with(., '{many}')]")


def test_an_account_is_made_and_granted_and_its_key_is_shown_once_and_revoked(
    dashboard: Browser, watched: Watched
) -> None:
    go_to(dashboard, "Accounts")
    dashboard.fill("New account", "seen")
    dashboard.press("Make account")
    made = dashboard.until(lambda: [row for row in dashboard.rows("Account") if row[0] == "seen"], "the account")[0]

    dashboard.fill("Account", "seen")
    dashboard.fill("US dollars", "2.50")
    dashboard.fill("Reason", "a test")
    dashboard.press("Grant")
    dashboard.until(lambda: [r for r in dashboard.rows("Account") if r[0] == "seen" and "2.5" in r[-1]], "the grant")

    dashboard.fill("Name of the key", "seen-key")
    dashboard.fill("Account id", made[1])
    dashboard.press("Make key")
    key = dashboard.find("//*[@class='secret']").text
    assert watched.chat(key, "with the new key") == 200
    go_to(dashboard, "Cache")
    go_to(dashboard, "Accounts")
    row = dashboard.until(lambda: [row for row in dashboard.rows("Key") if row[0].startswith("seen-key")], "the key")[0]
    assert row[1] == "seen"
    assert key not in dashboard.run("return document.documentElement.outerHTML")

    dashboard.find("//tr[td[starts-with(., 'seen-key')]]//button").click()
    dashboard.agree()
    dashboard.until(lambda: [r for r in dashboard.rows("Key") if r[0] == row[0] and r[-1] == "revoked"], "revoked")
    assert watched.chat(key, "with the revoked key") == 401


def test_a_read_is_explained(dashboard: Browser, watched: Watched) -> None:
    go_to(dashboard, "Explain")
    dashboard.fill("Entity", "models:provider")
    dashboard.fill("Key, if it has keys", "openai")
    dashboard.find("//form//button").click()
    assert dashboard.find("//section[h2[starts-with(., 'Redis')]]//span[.='a hit' or .='not a hit']")
    assert ["How a key is written", "slug, as it is"] in dashboard.rows("What")
    dashboard.find("//summary").click()
    told = json.loads(dashboard.find("//pre").text)
    assert (told["entity"], told["key"]) == ("models:provider", "openai")
    assert told["worker"] in watched.explained("models:provider", "openai")


def test_entities_are_offered_and_one_that_there_is_not_is_told(dashboard: Browser) -> None:
    go_to(dashboard, "Explain")
    offered = "return [...document.querySelectorAll('#entities option')].map((each) => each.value)"
    assert "models:stats" in dashboard.until(lambda: dashboard.run(offered), "names of entities")
    dashboard.fill("Entity", "models:stat")
    dashboard.find("//form//button").click()
    assert "did you mean 'models:stats'" in dashboard.find("//*[@id='said'][text()]").text
    (line,) = dashboard.console()
    assert "404" in line


def test_a_job_is_run_and_its_history_is_shown(dashboard: Browser, watched: Watched) -> None:
    go_to(dashboard, "Jobs")
    dashboard.until(lambda: [row for row in dashboard.rows("Job") if row[0] == "warm-cache"], "the jobs")
    dashboard.find("//button[@aria-label='Run warm-cache now']").click()
    said = dashboard.find("//*[@role='status'][starts-with(., 'warm-cache: run ')]").text
    number = said.removeprefix("warm-cache: run ").split()[0]
    dashboard.press("warm-cache")

    def done() -> list[list[str]]:
        return [row for row in dashboard.rows("Run") if row[:2] == [number, "succeeded"]]

    (row,) = dashboard.until(done, "a run that succeeded")
    assert row[-1].startswith("key_")
    assert "Seconds that runs of warm-cache took" in (
        dashboard.find("//*[@class='bars']").get_attribute("aria-label") or ""
    )
    _, audit = watched.ask("GET", "/admin/audit?limit=1")
    assert (audit["data"][0]["action"], audit["data"][0]["target"]) == ("job.run", "warm-cache")


def test_a_limit_is_set_and_who_is_over_it_is_refused_and_counted(dashboard: Browser, watched: Watched) -> None:
    key = watched.customer("limited")
    go_to(dashboard, "Limits")
    refused = tile(dashboard, "refused: requests")
    dashboard.choose("Account or key", "account limited")
    dashboard.press("Show")
    dashboard.find("//*[.='Nothing limits it.']")
    dashboard.choose("Limit", "requests_per_day")
    dashboard.fill("Amount; empty for none of its own", "1")
    dashboard.fill("Reason", "a test")
    dashboard.press("Set")
    dashboard.until(lambda: dashboard.rows("Limit of") == [["account", "requests", "a day", "1"]], "the limit")
    assert ["account limited", "requests per day: 1"] in dashboard.rows("Set for")
    assert [watched.chat(key, "in"), watched.chat(key, "over")] == [200, 429]
    go_to(dashboard, "Health")
    go_to(dashboard, "Limits")
    assert int(tile(dashboard, "refused: requests")) == int(refused) + 1


def test_health_tells_how_providers_fare(dashboard: Browser, watched: Watched) -> None:
    key = watched.customer("healthy")
    go_to(dashboard, "Health")
    assert watched.chat(key, "are you well?") == 200

    def healthy() -> list[list[str]]:
        return [row for row in dashboard.rows("Provider") if row[:3] == ["OpenAI", "healthy", "it answers"]]

    (row,) = dashboard.until(healthy, "a provider that answers")
    assert row[4] == "100.0 %"
    assert ["Demo", "unknown"] in [each[:2] for each in dashboard.rows("Provider")]
    assert ["database", "ok"] in [each[:2] for each in dashboard.rows("Check")]
    assert tile(dashboard, "traffic") == "ok"


def test_signing_out_ends_it(dashboard: Browser, watched: Watched) -> None:
    dashboard.press("Sign out")
    dashboard.find(SIGN_IN)
    dashboard.open(f"{watched.url}/dashboard#accounts")
    dashboard.find(SIGN_IN)
    assert dashboard.run("return fetch('/admin/accounts', {credentials: 'include'}).then((said) => said.status)") == 401
    (line,) = dashboard.console()
    assert "/admin/accounts" in line


def test_the_keyboard_alone_suffices(signed_out: Browser) -> None:
    signed_out.tab_to("Admin key")
    signed_out.type(ADMIN)
    signed_out.tab_to("Sign in")
    signed_out.type(Keys.ENTER)
    signed_out.find("//h1[.='Live cache']")
    for view, heading in VIEWS.items():
        signed_out.tab_to(view)
        signed_out.type(Keys.ENTER)
        signed_out.find(f"//main/h1[.='{heading}']")
    signed_out.tab_to("Sign out")
    signed_out.type(Keys.ENTER)
    signed_out.find(SIGN_IN)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_telephone_nothing_is_cut_off_or_hard_to_read(
    dashboard: Browser, scheme: str, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: dashboard.devtools("Emulation.clearDeviceMetricsOverride"))
    request.addfinalizer(lambda: dashboard.devtools("Emulation.setEmulatedMedia", features=[]))
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    dashboard.devtools("Emulation.setDeviceMetricsOverride", **size)
    dashboard.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    for view in VIEWS:
        go_to(dashboard, view)
        if view in TABLES:
            dashboard.until(partial(dashboard.rows, TABLES[view]), view)
        assert dashboard.run("return document.documentElement.scrollWidth") <= 390, view
        for text, ink, paper in dashboard.run(LUMINANCES):
            lighter, darker = max(ink, paper), min(ink, paper)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (view, text)
        (_, ink, paper), *_ = dashboard.run(LUMINANCES)
        assert (ink > paper) == (scheme == "dark")
