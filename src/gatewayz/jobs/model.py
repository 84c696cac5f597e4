"""What a job is, and what is known of its runs."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

SYNC = "sync-"
"""Names of jobs that sync a provider's model list begin with it; the provider's slug follows."""

Outcome = Literal["succeeded", "failed", "abandoned"]
Result = Mapping[str, Any]


class Asked(Struct):
    """What the work of a job is handed. `progress`: how far it is, in words, which it may set at any time."""

    is_dry: bool = False
    progress: str = ""


class Job(Struct, frozen=True, kw_only=True):
    """Work that one process of the fleet does for all.

    `every`: seconds from the end of a run to the next. `within`: seconds after which a run is given up. `work` returns
    a small JSON object for people to read; it must bear being begun again where another began it and died, and being
    cancelled. `can_be_dry`: it heeds `Asked.is_dry`. `is_eager`: the first run need not wait for `every`.
    """

    name: str
    description: str
    every: float
    within: float
    work: Callable[[Asked], Awaitable[Result]]
    can_be_dry: bool = False
    is_eager: bool = False


class Run(Struct, frozen=True, kw_only=True):
    """Times are Unix seconds. Not begun: it was asked for and waits. `asked_by` is None where its time had come.
    `abandoned`: whoever ran it died or lost the database.
    """

    id: int
    job: str
    asked_by: str | None
    asked_at: float
    is_dry: bool
    holder: str | None
    began_at: float | None
    ended_at: float | None
    progress: str | None
    outcome: Outcome | None
    result: dict[str, Any] | None
    reason: str | None

    @property
    def state(self) -> str:
        return self.outcome or ("waiting" if self.began_at is None else "running")

    @property
    def duration(self) -> float | None:
        """Seconds, of a run that has ended."""
        return None if self.ended_at is None or self.began_at is None else self.ended_at - self.began_at


class JobState(Struct, frozen=True, kw_only=True):
    """A job as the fleet has it. `failures`: in a row. `holder`: who took it up last. `last`: the newest run."""

    name: str
    description: str
    every: float
    can_be_dry: bool
    due_at: float
    failures: int
    holder: str
    last: Run | None
