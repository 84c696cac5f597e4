"""What the fields `provider` and `models` of a request mean, and how the refusal of a bad one reads."""

import json
from decimal import Decimal

import msgspec
import pytest

from gatewayz.core.errors import InvalidRequest
from gatewayz.inference.model import parse_chat_request
from gatewayz.inference.preferences import NONE, Preferences, preferences_of

KNOWN = ("acme", "groq", "openai")


def read(**fields: object) -> Preferences:
    return preferences_of({name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}, KNOWN)


@pytest.mark.parametrize("fields", [{}, {"provider": None}, {"provider": {}}, {"models": None}, {"models": []}])
def test_who_says_nothing_prefers_nothing(fields: dict[str, object]) -> None:
    assert read(**fields) == NONE


def test_all_that_may_be_said_is_read() -> None:
    wanted = read(
        provider={
            "order": ["groq"],
            "only": ["groq", "acme"],
            "ignore": ["openai"],
            "sort": "latency",
            "max_price": {"prompt": 0.25, "completion": "2"},
            "allow_fallbacks": False,
        },
        models=["a/b", "c/d"],
    )
    assert wanted.providers.order == ("groq",)
    assert wanted.providers.max_price.per_token("prompt") == Decimal("0.25") / 1_000_000
    assert wanted.providers.max_price.per_token("completion") == Decimal(2) / 1_000_000
    assert wanted.providers.max_price.per_token("request") is None
    assert wanted.models == ("a/b", "c/d")
    assert not wanted.providers.allow_fallbacks


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"provider": []}, "provider", "Expected `object | null`"),
        ({"provider": {"sort": "colour"}}, "provider.sort", "Invalid enum value 'colour'"),
        ({"provider": {"order": ["grok"]}}, "provider.order", "did you mean 'groq'?"),
        ({"provider": {"only": ["zzzzzz"]}}, "provider.only", "GET /v1/providers"),
        ({"provider": {"allow_fallback": True}}, "provider", "unknown field `allow_fallback`"),
        ({"provider": {"max_price": {"prompt": "cheap"}}}, "provider.max_price.prompt", "Invalid decimal"),
        ({"models": "a/b"}, "models", "Expected `array | null`"),
        ({"models": [1]}, "models[0]", "Expected `str`"),
        ({"models": [str(number) for number in range(9)]}, "models", "8 models, not 9"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_the_remedy(fields: dict[str, object], param: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(**fields)
    assert refused.value.param == param
    assert says in refused.value.message


@pytest.mark.parametrize("stream", [False, True])
def test_no_provider_is_sent_what_is_for_the_gateway(*, stream: bool) -> None:
    body = {"model": "m", "messages": [{}], "provider": {"sort": "price"}, "models": ["n"], "stream": stream, "x": 1}
    sent = parse_chat_request(json.dumps(body).encode()).upstream_body()
    assert sent.keys() - {"stream_options"} == {"model", "messages", "stream", "x"}
