"""Settings of how HTTP is served."""

from pydantic import BaseModel, Field


class DrainConfig(BaseModel):
    notice: float = Field(
        0.0,
        ge=0,
        description="Seconds after a stop was asked for in which new connections are still taken, while /health/ready "
        "says 503: the time that load balancers need to notice.",
    )
    limit: float = Field(
        30.0,
        ge=0,
        description="Seconds after a stop was asked for, notice included, until what still runs is cut. What was used "
        "until then is settled in the few seconds after.",
    )
