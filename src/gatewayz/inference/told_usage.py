"""What an answer in OpenAI's form says was used, as it says it: nothing here is bounded."""

from msgspec import Struct


class _OfPrompt(Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OfCompletion(Struct, frozen=True):
    reasoning_tokens: int | None = None


class ToldUsage(Struct, frozen=True, kw_only=True):
    """Tokens; the properties are 0 where nothing is said."""

    prompt_tokens: int = 0
    completion_tokens: int | None = 0
    prompt_tokens_details: _OfPrompt | None = None
    completion_tokens_details: _OfCompletion | None = None

    @property
    def completion(self) -> int:
        return self.completion_tokens or 0

    @property
    def cached(self) -> int:
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0

    @property
    def cache_write(self) -> int:
        return (self.prompt_tokens_details and self.prompt_tokens_details.cache_write_tokens) or 0

    @property
    def reasoning(self) -> int:
        return (self.completion_tokens_details and self.completion_tokens_details.reasoning_tokens) or 0
