"""The fleet's jobs: what they did, when they are due, and having one run now. Syncs are jobs of their own."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from gatewayz.api.admin.route import MISSING, MISSING_OR_CONFLICTING, act_of, admin_router
from gatewayz.api.callers import Callers
from gatewayz.api.job_forms import (
    JobsForm,
    JobWithRunsForm,
    OrderedForm,
    OrderedSyncsForm,
    RunOrderForm,
    SyncOrderForm,
    job_form,
    run_form,
)
from gatewayz.jobs.model import SYNC
from gatewayz.jobs.repository import KEPT_RUNS, JobsRepository

JobName = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9._-]{0,99}$", description="The job's name.")]
MostRuns = Annotated[int, Query(ge=1, le=KEPT_RUNS, description="How many runs to show.")]


def job_routes(callers: Callers, jobs: JobsRepository) -> APIRouter:
    router = admin_router(callers, "/admin/jobs")

    @router.get("")
    async def list_jobs() -> JobsForm:
        """Every job with its newest run, by name."""
        return JobsForm(data=[job_form(each) for each in await jobs.list_states()])

    @router.get("/{name}", responses=MISSING)
    async def get_job(name: JobName, limit: MostRuns = 20) -> JobWithRunsForm:
        """A job and its runs."""
        state = await jobs.get_state(name)
        return JobWithRunsForm(job=job_form(state), runs=[run_form(each) for each in await jobs.list_runs(name, limit)])

    @router.post("/{name}/run", status_code=202, responses=MISSING_OR_CONFLICTING)
    async def run_job(request: Request, name: JobName, form: RunOrderForm) -> OrderedForm:
        """Have it run at once by whoever holds the jobs. Who asks for what waits already is told of that run."""
        run = await jobs.ask(name, act_of(request, form.reason), is_dry=form.dry_run)
        return OrderedForm(run=run, job=name)

    return router


def sync_routes(callers: Callers, jobs: JobsRepository) -> APIRouter:
    router = admin_router(callers, "/admin/sync")

    @router.get("")
    async def list_syncs() -> JobsForm:
        """The jobs that sync providers' model lists, by name."""
        return JobsForm(data=[job_form(each) for each in await jobs.list_states() if each.name.startswith(SYNC)])

    @router.post("/run", status_code=202, responses=MISSING_OR_CONFLICTING)
    async def run_syncs(request: Request, form: SyncOrderForm) -> OrderedSyncsForm:
        """Sync one provider's model list, or all, at once."""
        act = act_of(request, form.reason)
        if form.provider is not None:
            names = [(await jobs.get_state(SYNC + form.provider)).name]
        else:
            names = [each.name for each in await jobs.list_states() if each.name.startswith(SYNC)]
        runs = [await jobs.ask(name, act, is_dry=form.dry_run) for name in names]
        return OrderedSyncsForm(data=[OrderedForm(run=run, job=name) for run, name in zip(runs, names, strict=True)])

    return router
