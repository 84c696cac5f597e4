"""Every documented field of a request for a chat completion, or for vectors, and whether it can change the answer.

What is not in its table may change the answer, and goes into the key as it came.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Field(Struct, frozen=True, kw_only=True):
    """`is_key`: it can change the answer. `same_as_absent`: values that say no more than leaving the field out, null
    aside, which never does.
    """

    is_key: bool = True
    same_as_absent: tuple[Any, ...] = ()


_KEY = Field()
_NO_KEY = Field(is_key=False)

OPENAI: Mapping[str, Field] = {
    "model": _KEY,
    "messages": _KEY,
    "audio": _KEY,
    "frequency_penalty": Field(same_as_absent=(0,)),
    "function_call": _KEY,
    "functions": _KEY,
    "logit_bias": Field(same_as_absent=({},)),
    "logprobs": Field(same_as_absent=(False,)),
    "max_completion_tokens": _KEY,
    "max_tokens": _KEY,
    "modalities": Field(same_as_absent=(["text"],)),
    "moderation": _KEY,
    "n": Field(same_as_absent=(1,)),
    "parallel_tool_calls": Field(same_as_absent=(True,)),
    "prediction": _KEY,
    "presence_penalty": Field(same_as_absent=(0,)),
    "reasoning_effort": _KEY,
    "response_format": Field(same_as_absent=({"type": "text"},)),
    "seed": _KEY,
    # It changes when an answer comes rather than what it says; but requests at one time share one call, and who pays
    # for speed must not wait for who does not.
    "service_tier": Field(same_as_absent=("auto",)),
    "stop": Field(same_as_absent=([],)),
    "temperature": Field(same_as_absent=(1,)),
    "tool_choice": Field(same_as_absent=("auto",)),
    "tools": _KEY,
    "top_logprobs": _KEY,
    "top_p": Field(same_as_absent=(1,)),
    "verbosity": _KEY,
    "web_search_options": _KEY,
    # How the answer is carried: one entry serves both.
    "stream": _NO_KEY,
    "stream_options": _NO_KEY,
    # What the provider writes down, and about whom.
    "metadata": _NO_KEY,
    "safety_identifier": _NO_KEY,
    "store": _NO_KEY,
    "user": _NO_KEY,
    # How the provider keeps the prompt.
    "prompt_cache_key": _NO_KEY,
    "prompt_cache_options": _NO_KEY,
    "prompt_cache_retention": _NO_KEY,
}

EXTENSIONS: Mapping[str, Field] = {
    "chat_template_kwargs": _KEY,
    "guided_choice": _KEY,
    "guided_grammar": _KEY,
    "guided_json": _KEY,
    "guided_regex": _KEY,
    "include_reasoning": _KEY,
    "min_p": _KEY,
    "min_tokens": _KEY,
    "plugins": _KEY,
    "reasoning": _KEY,
    "repetition_penalty": _KEY,
    "safe_prompt": _KEY,
    "thinking": _KEY,
    "top_a": _KEY,
    "top_k": _KEY,
    "transforms": _KEY,
}

OURS: Mapping[str, Field] = {
    # Who may answer decides what is answered.
    "models": _KEY,
    "provider": _KEY,
    # What of it makes another entry (namespace, bucket) goes into the key by itself.
    "cache": _NO_KEY,
}

FIELDS: Mapping[str, Field] = {**OPENAI, **EXTENSIONS, **OURS}

OPENAI_VECTORS: Mapping[str, Field] = {
    "model": _KEY,
    "dimensions": _KEY,
    # Decimals and 32-bit floats name one vector by different numbers: neither can be made of the other exactly.
    "encoding_format": Field(same_as_absent=("float",)),
    # Each of its items has a key of its own.
    "input": _NO_KEY,
    "user": _NO_KEY,
}

VECTORS: Mapping[str, Field] = {**OPENAI_VECTORS, **OURS}
