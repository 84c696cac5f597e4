"""Jobs and their runs as they are written in JSON, for the admin API and for commands. Times are Unix seconds."""

from typing import Any

from pydantic import Field

from gatewayz.api.admin.forms import Form, Moment, Reason
from gatewayz.jobs.model import JobState, Run


class RunForm(Form):
    id: int
    job: str
    state: str = Field(description="waiting, running, succeeded, failed, or abandoned: whoever ran it died.")
    asked_by: str | None = Field(description="A key's id, or cli; null where its time had come.")
    asked_at: Moment
    dry_run: bool
    holder: str | None = Field(description="Host and process that runs it.")
    began_at: float | None
    ended_at: float | None
    duration: float | None = Field(description="Seconds.")
    progress: str | None
    result: dict[str, Any] | None
    reason: str | None = Field(description="Why it did not succeed.")


class JobForm(Form):
    name: str
    description: str
    every: float = Field(description="Seconds from the end of a run to the next.")
    can_be_dry: bool = Field(description="Whether it has a dry run.")
    next_due: Moment
    failures: int = Field(description="In a row.")
    holder: str = Field(description="Host and process that took the jobs up last.")
    last: RunForm | None


class JobsForm(Form):
    data: list[JobForm]


class JobWithRunsForm(Form):
    job: JobForm
    runs: list[RunForm] = Field(description="The newest first.")


class RunOrderForm(Form):
    dry_run: bool = Field(default=False, description="Say what it would do, and do nothing.")
    reason: Reason = None


class SyncOrderForm(RunOrderForm):
    provider: str | None = Field(default=None, description="The provider's slug; null: all that are configured.")


class OrderedForm(Form):
    run: int = Field(description="The run's id.")
    job: str


class OrderedSyncsForm(Form):
    data: list[OrderedForm]


def run_form(run: Run) -> RunForm:
    return RunForm(
        id=run.id,
        job=run.job,
        state=run.state,
        asked_by=run.asked_by,
        asked_at=run.asked_at,
        dry_run=run.is_dry,
        holder=run.holder,
        began_at=run.began_at,
        ended_at=run.ended_at,
        duration=run.duration,
        progress=run.progress,
        result=run.result,
        reason=run.reason,
    )


def job_form(state: JobState) -> JobForm:
    return JobForm(
        name=state.name,
        description=state.description,
        every=state.every,
        can_be_dry=state.can_be_dry,
        next_due=state.due_at,
        failures=state.failures,
        holder=state.holder,
        last=None if state.last is None else run_form(state.last),
    )
