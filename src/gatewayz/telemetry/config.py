"""Settings of logs."""

from typing import Literal

from pydantic import BaseModel, Field


class LogConfig(BaseModel):
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least severe line to write.")
    format: Literal["auto", "json", "human"] = Field(
        "auto", description="auto: for people on a terminal, else one JSON object a line."
    )
