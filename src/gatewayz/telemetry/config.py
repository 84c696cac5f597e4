"""Settings of logs and traces."""

from typing import Literal

from pydantic import BaseModel, Field


class LogConfig(BaseModel):
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least severe line to write.")
    format: Literal["auto", "json", "human"] = Field(
        "auto", description="auto: for people on a terminal, else one JSON object a line."
    )
    requests: bool = Field(True, description="A line for each request, at its end.")
    most_request_lines: float = Field(
        50,
        ge=0,
        description="Lines a second and worker for requests that were answered from memory or refused; a line costs "
        "about as much as such an answer. Others have one always.",
    )


class TracesConfig(BaseModel):
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^\s@]+$",
        description="Where spans are sent by OTLP over HTTP, as http://localhost:4318/v1/traces. Unset: nothing is "
        "traced. Headers for it are read from OTEL_EXPORTER_OTLP_HEADERS. Needs the extra `otel`.",
    )
    share: float = Field(
        1.0, ge=0, le=1, description="Of requests whose callers do not say whether to record them, how many are."
    )
