"""Settings of inference."""

from pydantic import BaseModel, Field


class InferenceConfig(BaseModel):
    deadline: float = Field(
        120.0, gt=0, description="Seconds after which no other provider is tried, and none a second time."
    )
    rounds: int = Field(
        2,
        ge=1,
        le=10,
        description="How often all providers of a model are tried, where each has failed for the moment.",
    )
    retry_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Further rounds that a worker may make for each request, so that retries end in time.",
    )
    longest_wait: float = Field(
        2.0,
        ge=0,
        description="Seconds that a request waits for another round at most; else it is told when to come again.",
    )
    first_wait: float = Field(
        0.25, ge=0, description="Seconds before the second round, give or take a half; they double with each one."
    )
