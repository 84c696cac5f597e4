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
