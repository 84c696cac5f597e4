"""Settings of health."""

from pydantic import BaseModel, Field


class HealthConfig(BaseModel):
    failures: int = Field(
        5, ge=1, description="Failures in a row, in all workers, after which a provider's model is left alone."
    )
    failures_within: float = Field(
        60.0, gt=0, description="Seconds after the last failure until those before are forgotten."
    )
    first_pause: float = Field(
        5.0, gt=0, description="Seconds for which it is left alone then, before one request tries it again."
    )
    longest_pause: float = Field(
        120.0, gt=0, description="Seconds up to which that doubles each time such a request fails."
    )
    probe: float = Field(60.0, gt=0, description="Seconds that the one request may take before another may try.")
    quota_pause: float = Field(
        900.0,
        gt=0,
        description="Seconds for which a provider is left alone that refuses our key or finds our account used up, and "
        "up to which its own Retry-After is heeded.",
    )
    half_life: float = Field(
        120.0,
        gt=0,
        description="Seconds after which what was seen of a provider counts half as much: one failure among many moves "
        "little, and an outage is forgotten minutes after its end.",
    )
    known_for: float = Field(
        300.0,
        gt=0,
        description="Seconds without a request or a probe after which it is unknown again: longer than the longest "
        "pause of who keeps failing, so that nobody is tried anew before that.",
    )
    evidence: float = Field(
        3.0,
        ge=1,
        description="Requests, as far as they still count, below which failures among them make it unknown rather than "
        "degraded or down: one or two may be chance.",
    )
    degraded_from: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Share of failures from which it is degraded: callers then notice the time that failovers take.",
    )
    down_from: float = Field(
        0.5, gt=0, le=1, description="Share of failures from which it is down: asking another first is quicker then."
    )
    slow: float = Field(
        20.0, gt=0, description="Seconds to the first token of a stream from which it is slow: people leave by then."
    )
    slow_from: float = Field(
        0.05, gt=0, le=1, description="Share of slow streams from which it is degraded; 0.05 judges by the p95."
    )
    share_every: float = Field(
        2.0,
        gt=0,
        description="Seconds between two times that a worker tells the others what it saw, and hears of them.",
    )
    probe_idle_after: float | None = Field(
        None,
        ge=10,
        description="Seconds without traffic after which a provider is asked for its model list, to see whether it "
        "answers. Unset: nobody is.",
    )
    probe_within: float = Field(10.0, gt=0, description="Seconds in which a model list must begin to come then.")
