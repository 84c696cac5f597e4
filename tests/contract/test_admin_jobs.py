"""Jobs and syncs over the admin API; the gateway of these tests has nobody who holds them but the test."""

from tests.support.administered import Administered
from tests.support.gateway import parts_of

from gatewayz.fleet_jobs import fleet_jobs


async def test_jobs_are_listed_and_a_run_is_asked_for(administered: Administered) -> None:
    async with parts_of(administered.gateway.settings) as parts:
        await parts.jobs.declare(fleet_jobs(parts, {}), "test:1")
    listed = (await administered.ask("GET", "/admin/jobs")).body["data"]
    names = [each["name"] for each in listed]
    assert {"remove-models", "forget-answers", "warm-cache", "sync-demo"} <= set(names)
    syncs = (await administered.ask("GET", "/admin/sync")).body["data"]
    assert [each["name"] for each in syncs] == [name for name in names if name.startswith("sync-")]
    ordered = await administered.ask("POST", "/admin/jobs/warm-cache/run", {"reason": "after a deploy"})
    assert (ordered.status, ordered.body["job"]) == (202, "warm-cache")
    again = await administered.ask("POST", "/admin/jobs/warm-cache/run", {})
    assert again.body == ordered.body
    shown = (await administered.ask("GET", "/admin/jobs/warm-cache")).body
    assert [(run["id"], run["state"]) for run in shown["runs"]] == [(ordered.body["run"], "waiting")]
    assert shown["runs"][0]["asked_by"] == administered.key_id
    synced = await administered.ask("POST", "/admin/sync/run", {"provider": "demo", "dry_run": True})
    assert (synced.status, [each["job"] for each in synced.body["data"]]) == (202, ["sync-demo"])
    refused = await administered.ask("POST", "/admin/jobs/remove-models/run", {"dry_run": True})
    assert refused.error == (400, "invalid_request", "dry_run")
    missing = await administered.ask("POST", "/admin/sync/run", {"provider": "nobody"})
    assert missing.error == (404, "not_found", "name")
    assert (await administered.ask("GET", "/admin/jobs/nobody")).status == 404
