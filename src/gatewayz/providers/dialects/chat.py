"""What every dialect does: carry one chat request to one provider and bring back its answer as bytes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from pydantic import SecretStr

from gatewayz.providers.dialects.completion import Counts
from gatewayz.providers.model import Provider


class Endpoint(StrEnum):
    """What is asked for: the path after the base URL of a provider that speaks OpenAI's form. TOKENS, which has no
    place there: of how many tokens a chat's prompt is, told in Anthropic's form.
    """

    CHAT = "/chat/completions"
    COMPLETIONS = "/completions"
    EMBEDDINGS = "/embeddings"
    TOKENS = "/messages/count_tokens"


class ChatAttempt(Struct, frozen=True, kw_only=True):
    """One request to one provider. `body` holds the caller's fields as they came, each still encoded. `most_output`:
    the tokens that an answer of the model may have, None where nobody knows. `prompts`: how many texts there are.
    """

    provider: Provider
    api_key: SecretStr | None
    native_id: str
    body: dict[str, msgspec.Raw]
    is_streaming: bool
    most_output: int | None = None
    endpoint: Endpoint = Endpoint.CHAT
    prompts: int = 1

    def decoded(self, field: str) -> Any:  # noqa: ANN401  any JSON
        """The value of one field, None if it was not sent."""
        raw = self.body.get(field)
        return None if raw is None else msgspec.json.decode(raw)


class ChatAnswer(Struct, frozen=True):
    """A 200 of the provider: one JSON body, or server-sent events as they arrive, split at any byte. `counted`: what a
    stream has used by now, where its provider tells before its end.
    """

    content_type: str
    chunks: AsyncIterator[bytes]
    counted: Callable[[], Counts] | None = None


class ChatDialect(Protocol):
    def chat(self, attempt: ChatAttempt) -> AbstractAsyncContextManager[ChatAnswer]:
        """Open the answer; leaving the context ends the provider's work on it.

        Raises InvalidRequest when the provider blames the caller's request, ProviderFailed for everything else.
        """
        ...
