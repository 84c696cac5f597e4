"""One gateway of two workers, and one browser before it. Skipped where there is no Chromium, except in CI."""

from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal
from tests.support.chromium import Browser, chromium
from tests.support.fake_upstream import FakeUpstream
from tests.support.served import served
from tests.support.servers import short_directory
from tests.support.watched import ADMIN, Watched


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def watched(browser: Browser) -> Iterator[Watched]:  # noqa: ARG001  no gateway starts where there is no browser
    with start_blocking_portal() as aside, aside.wrap_async_context_manager(FakeUpstream().running()) as upstream:
        settings = {
            "workers": "2",
            "admin_key": ADMIN,
            "log__requests": "false",
            "catalog__sync_on_start": "false",
            "cache__ttl__health_dashboard": "1",
            "providers__openai__base_url": upstream.base_url("answers"),
            "providers__openai__api_key": "of-no-use-elsewhere",
        }
        with short_directory() as directory, served(directory / "data", **settings) as gateway:
            yield Watched(gateway.url)


@pytest.fixture
def signed_out(browser: Browser, watched: Watched) -> Iterator[Browser]:
    """At the sign-in, whoever was here before. What a test did may leave nothing on the console."""
    browser.open(f"{watched.url}/dashboard")
    browser.devtools("Network.clearBrowserCookies")
    browser.run("sessionStorage.clear()")
    browser.open(f"{watched.url}/dashboard")
    browser.console()
    yield browser
    assert browser.console() == []


@pytest.fixture
def dashboard(signed_out: Browser) -> Browser:
    """Signed in, at the first view."""
    signed_out.fill("Admin key", ADMIN)
    signed_out.press("Sign in")
    signed_out.find("//h1[.='Live cache']")
    return signed_out
