"""How much a request may use at most."""

import base64
import json

import pytest

from gatewayz.core.errors import InvalidRequest
from gatewayz.inference.estimate import ASSUMED_OUTPUT, PART_TOKENS, TOOLS_TOKENS, Estimate, estimate
from gatewayz.inference.model import parse_chat_request


def estimated(content: object = "Hi", **fields: object) -> Estimate:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], **fields}).encode()
    return estimate(parse_chat_request(body), body)


def test_no_text_has_more_tokens_than_bytes() -> None:
    found = estimated("é" * 1000)
    assert found.prompt_bound >= 2000
    assert found.likely < found.prompt_bound + ASSUMED_OUTPUT


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, None),
        ({"max_tokens": 10}, 10),
        ({"max_completion_tokens": 20, "max_tokens": 10}, 20),
        ({"max_tokens": 10, "n": 3}, 30),
        ({"max_tokens": 0}, 0),
        ({"max_tokens": None, "n": None}, None),
    ],
)
def test_the_output_is_bounded_as_the_request_says(fields: dict[str, object], output: int | None) -> None:
    assert estimated(**fields).output == output


@pytest.mark.parametrize("fields", [{"max_tokens": -1}, {"max_tokens": 1.5}, {"n": 0}, {"n": True}, {"n": "many"}])
def test_a_bound_that_is_none_is_refused_by_its_name(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        estimated(**fields)
    assert refused.value.param == next(iter(fields))


def test_what_providers_say_of_tools_by_themselves_is_counted_too() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert estimated(tools=tools).prompt_bound >= estimated(x_tools=tools).prompt_bound + TOOLS_TOKENS - 2


def test_a_picture_counts_as_a_picture_and_not_by_its_bytes() -> None:
    url = "data:image/png;base64," + base64.b64encode(b"x" * 1_000_000).decode()
    found = estimated([{"type": "image_url", "image_url": {"url": url}}])
    assert 2 * PART_TOKENS <= found.prompt_bound < 20_000
