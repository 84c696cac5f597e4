"""The fleet's job that asks the idle: whom it asks, and what all workers then know."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.gateway import install, parts_of, settings_for
from tests.support.list_server import ListServer

from gatewayz.app import Parts
from gatewayz.embedded.servers import Servers
from gatewayz.fleet_jobs import fleet_jobs
from gatewayz.health.model import State
from gatewayz.jobs.model import Asked, Job
from gatewayz.settings import Settings


@pytest.fixture
async def lists() -> AsyncIterator[ListServer]:
    async with ListServer().running() as running:
        yield running


@pytest.fixture
def settings(servers: Servers, database_url: str, tmp_path: Path, lists: ListServer) -> Settings:
    paths = {"well": "openrouter", "ill": "failing/500", "busy": "openrouter", "paused": "openrouter"}
    providers: dict[str, Any] = {
        slug: {"base_url": f"{lists.url}/{path}", "api_key": f"sk-{slug}"} for slug, path in paths.items()
    }
    providers["fixed"] = {"base_url": lists.url, "models": ["one"]}
    return settings_for(servers, database_url, tmp_path, providers=providers, health={"probe_idle_after": 600})


def probing(parts: Parts) -> list[Job]:
    return [job for job in fleet_jobs(parts, {}) if job.name == "probe-idle"]


async def test_idle_providers_are_asked_for_their_lists_and_every_worker_hears_what_came_of_it(
    settings: Settings, lists: ListServer
) -> None:
    await install(settings, ())
    async with parts_of(settings) as worker, parts_of(settings) as companion:
        worker.health.answered("busy", "busy/rocket", 0.4, is_stream=False)
        worker.health.failed("paused", None, had_begun=False, pause=900)
        await worker.health.exchange()
        (job,) = probing(companion)
        result = await job.work(Asked())
        assert (result["well"], result["failed"].keys()) == (["well"], {"ill"})
        assert "refused with status 500" in result["failed"]["ill"]
        assert {headers["Authorization"] for _, headers in lists.asked} == {"Bearer sk-well", "Bearer sk-ill"}
        await worker.health.exchange()
        assert [worker.health.state_of(slug) for slug in ("well", "ill", "busy", "paused", "fixed")] == [
            State.HEALTHY,
            State.UNKNOWN,  # once may be chance
            State.HEALTHY,
            State.DOWN,
            State.UNKNOWN,
        ]
        asked = len(lists.asked)
        assert await job.work(Asked()) == {"well": [], "failed": {}}
        assert len(lists.asked) == asked, "it has just been heard of all"


@pytest.mark.parametrize("without", ["probe_idle_after", "redis"])
async def test_nobody_is_asked_unless_it_is_wanted_and_others_would_hear_of_it(
    settings: Settings, without: str
) -> None:
    if without == "redis":
        settings = settings.model_copy(update={"cache": settings.cache.model_copy(update={"redis_url": None})})
    else:
        settings = settings.model_copy(update={"health": settings.health.model_copy(update={"probe_idle_after": None})})
    async with parts_of(settings) as parts:
        assert probing(parts) == []
