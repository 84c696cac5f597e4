"""Attempts at made-up providers, without a network."""

import json
from typing import Any

import msgspec
from pydantic import SecretStr

from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.model import Provider

SECRET = "sk-very-secret"


def attempt(
    body: dict[str, Any], *, model: str = "m-1", is_streaming: bool = False, most_output: int | None = None
) -> ChatAttempt:
    return ChatAttempt(
        provider=Provider(slug="acme", name="Acme", base_url="https://acme.example/v1"),
        api_key=SecretStr(SECRET),
        native_id=model,
        body=msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw]),
        is_streaming=is_streaming,
        most_output=most_output,
    )


def sent(body: object) -> Any:  # noqa: ANN401  JSON
    """A request's body as the provider decodes it."""
    return json.loads(msgspec.json.encode(body))
