"""How much a request may use at most, before anything is known of its answer."""

import re
from typing import Any

import msgspec
from msgspec import Struct

from gatewayz.core.errors import InvalidRequest
from gatewayz.inference.model import ChatRequest
from gatewayz.providers.dialects.chat import Endpoint

_DATA_URL = re.compile(rb'"data:[^",]{0,200};base64,([A-Za-z0-9+/=_-]*)')
_PICTURE = re.compile(rb'"(?:image_url|input_image|input_audio|file)"')

PART_TOKENS = 4096
"""What one picture, sound or file may count for: more than any provider counts for a picture in full detail."""
MESSAGE_TOKENS = 8
"""What a provider's own form may add to a message."""
TOOLS_TOKENS = 1024
"""What a provider may tell the model of tools in general, in words of its own."""
BYTES_PER_TOKEN = 4
"""On average, in text of any kind: for the limits on tokens, which are settled by what was really used."""
ASSUMED_OUTPUT = 4096
"""Tokens that an answer is assumed to have, for the limits, where the request does not bound it."""

_MOST = 1_000_000_000


class Estimate(Struct, frozen=True):
    """Tokens. `prompt_bound`: there cannot be more, as no token is shorter than a byte. `likely_prompt`: how many there
    may be. `output`: the bound that the request set on all its answers together, None without one. `likely`: of prompt
    and answers, what a limit on tokens reserves.
    """

    prompt_bound: int
    likely_prompt: int
    output: int | None
    likely: int


def estimate(request: ChatRequest, body: bytes) -> Estimate:
    """Raises InvalidRequest for bounds that are none."""
    pictures = len(_PICTURE.findall(body)) * PART_TOKENS
    text = len(body) - sum(len(found) for found in _DATA_URL.findall(body))
    answers = _answers(request)
    output = _most_output(request)
    bound = None if output is None else output * answers
    likely_prompt = text // BYTES_PER_TOKEN + pictures
    likely = likely_prompt + (ASSUMED_OUTPUT * answers if bound is None else bound)
    added = MESSAGE_TOKENS * body.count(b'"role"') + (TOOLS_TOKENS if "tools" in request.body else 0)
    return Estimate(text + pictures + added, likely_prompt, bound, likely)


def _answers(request: ChatRequest) -> int:
    """How many are made, also of those that nobody sees."""
    answers = _whole_number(request, "n", least=1) or 1
    if request.endpoint is Endpoint.COMPLETIONS:
        answers = max(answers, _whole_number(request, "best_of", least=1) or 1)
    return answers * request.prompts


def _most_output(request: ChatRequest) -> int | None:
    """Of each answer. Vectors are no tokens."""
    if request.endpoint is Endpoint.EMBEDDINGS:
        return 0
    output = _whole_number(request, "max_completion_tokens")
    return _whole_number(request, "max_tokens") if output is None else output


def _whole_number(request: ChatRequest, field: str, *, least: int = 0) -> int | None:
    raw = request.body.get(field)
    if raw is None:
        return None
    value: Any = msgspec.json.decode(raw)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
        raise InvalidRequest(f"{field!r} must be a whole number from {least} to {_MOST}", param=field)
    return value
