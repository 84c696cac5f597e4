"""Settings of limits."""

from pydantic import BaseModel, Field


class LimitsConfig(BaseModel):
    lease: float = Field(
        15.0, ge=1, description="Seconds after which a request of a worker that died no longer counts as running."
    )
    answer: float = Field(
        0.035, gt=0, description="Seconds that Redis may take to admit a request before this worker does so alone."
    )
