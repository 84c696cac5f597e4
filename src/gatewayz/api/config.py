"""Settings of how HTTP is served."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d+)?|https?://\[[0-9a-f:]+\](:\d+)?")


def _origin(text: str) -> str:
    if text != "*" and _ORIGIN.fullmatch(text) is None:
        raise ValueError("must be an origin as a browser sends it, such as https://app.example.com, or *")
    return text


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


class CorsConfig(BaseModel):
    origins: list[Annotated[str, AfterValidator(_origin)]] = Field(
        default_factory=list,
        description='Origins whose pages may ask from a browser, as ["https://app.example.com"], or ["*"]. None: no '
        "page of another origin may. Cookies never count.",
    )
    max_age: int = Field(600, ge=0, description="Seconds for which a browser may remember that it may ask.")
