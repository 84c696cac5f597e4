"""What makes two requests the same, and two others not, one rule after the other."""

import json
import random
from typing import Any

import msgspec
import pytest
from openai.types import embedding_create_params
from openai.types.chat import completion_create_params

from gatewayz.core.ids import AccountId, ApiKeyId
from gatewayz.inference import model
from gatewayz.responses.canonical import NoCanonicalForm, canonical, decoded
from gatewayz.responses.config import ResponsesConfig
from gatewayz.responses.fields import FIELDS, OPENAI, OPENAI_VECTORS, VECTORS
from gatewayz.responses.key import ResponseKeys, Sharing, Tenant
from gatewayz.responses.plan import Plans
from gatewayz.responses.reasons import Reason

CHAT: dict[str, Any] = {"model": "acme/rocket-1", "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def form(**fields: object) -> bytes:
    return canonical(decoded(json.dumps({**CHAT, **fields}).encode()))


def form_of(text: str) -> bytes:
    return canonical(decoded(text.encode()))


def test_every_field_that_the_official_sdk_can_send_has_a_class() -> None:
    params = completion_create_params
    sent = {
        *params.CompletionCreateParamsBase.__annotations__,
        *params.CompletionCreateParamsStreaming.__annotations__,
        *params.CompletionCreateParamsNonStreaming.__annotations__,
    }
    assert sent == set(OPENAI)


def test_every_field_that_the_official_sdk_can_send_for_vectors_has_a_class() -> None:
    assert set(embedding_create_params.EmbeddingCreateParams.__annotations__) == set(OPENAI_VECTORS)
    assert {field.encode_name for field in msgspec.structs.fields(model._ReadEmbedding)} <= set(VECTORS)


def test_every_field_that_the_gateway_reads_of_a_request_has_a_class() -> None:
    assert {field.encode_name for field in msgspec.structs.fields(model._ReadChat)} <= set(FIELDS)


@pytest.mark.parametrize(
    "said",
    [
        {"temperature": 1},
        {"temperature": 1.0},
        {"temperature": None},
        {"top_p": 1, "n": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "logprobs": False},
        {"response_format": {"type": "text"}, "tool_choice": "auto", "parallel_tool_calls": True},
        {"stop": None},
        {"stop": []},
        {"logit_bias": {}},
        {"modalities": ["text"], "service_tier": "auto"},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"user": "u-1", "metadata": {"a": "b"}, "store": True, "safety_identifier": "x", "prompt_cache_key": "y"},
        {"cache": {"ttl": 5}},
        {"tools": None, "a_field_of_tomorrow": None},
        {"messages": [{"role": "user", "content": "Hi", "name": None}]},
    ],
)
def test_defaults_that_are_spelled_out_and_what_cannot_change_the_answer_do_not_matter(said: dict[str, Any]) -> None:
    assert form(**said) == form()


@pytest.mark.parametrize(
    "said",
    [
        {"model": "acme/rocket-2"},
        {"messages": [{"role": "system", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": "hi"}]},
        {"messages": [{"role": "user", "content": "Hi "}]},
        {"messages": [{"role": "user", "content": "Hi", "name": "n"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
        {"temperature": 0},
        {"temperature": True},
        {"seed": 0},
        {"n": 2},
        {"stop": "x"},
        {"tools": [TOOL]},
        {"tool_choice": "none"},
        {"response_format": {"type": "json_object"}},
        {"logit_bias": {"5": 1}},
        {"logprobs": True},
        {"max_tokens": 5},
        {"service_tier": "flex"},
        {"models": ["acme/rocket-1", "acme/rocket-2"]},
        {"provider": {"only": ["acme"]}},
        {"a_field_of_tomorrow": 1},
        {"A_field_of_tomorrow": 1},
    ],
)
def test_everything_else_makes_another_entry(said: dict[str, Any]) -> None:
    assert form(**said) != form()


def test_the_order_of_parts_and_the_bytes_of_a_picture_matter() -> None:
    text = {"type": "text", "text": "What is it?"}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    another = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAB"}}
    forms = {
        form(messages=[{"role": "user", "content": parts}])
        for parts in ([text, picture], [picture, text], [text, another], [text, another, picture])
    }
    assert len(forms) == 4


def test_one_stop_sign_is_the_same_in_a_list() -> None:
    assert form(stop="x") == form(stop=["x"])
    assert form(stop=["x", "y"]) != form(stop=["y", "x"])


def test_members_may_stand_in_any_order_at_any_depth() -> None:
    assert form(logit_bias={"1": 2, "3": 4}) == form(logit_bias={"3": 4, "1": 2})
    assert form_of('{"model":"m","tools":[{"a":1,"b":{"c":2,"d":3}}]}') == form_of(
        '{"tools":[{"b":{"d":3,"c":2},"a":1}],"model":"m"}'
    )


@pytest.mark.parametrize("spelling", ["1", "1.0", "1e0", "10e-1", "1.00E+0"])
def test_a_number_is_the_same_however_it_is_written(spelling: str) -> None:
    assert form_of(f'{{"seed":{spelling}}}') == form_of('{"seed":1}')


def test_minus_nought_is_nought() -> None:
    assert form_of('{"seed":-0}') == form_of('{"seed":-0.0}') == form_of('{"seed":0}')


def test_integers_of_any_size_are_told_apart() -> None:
    large = [2**53, 2**53 + 1, 2**64, 2**64 + 1, 10**40, 10**40 + 1]
    assert len({form_of(f'{{"seed":{each}}}') for each in large}) == len(large)


def test_a_number_beyond_all_doubles_has_no_canonical_form() -> None:
    for spelling in ("1e400", "-1e400"):
        with pytest.raises(NoCanonicalForm):
            form_of(f'{{"seed":{spelling}}}')


def test_of_a_member_that_stands_twice_the_last_counts() -> None:
    assert form_of('{"seed":1,"seed":2}') == form_of('{"seed":2}')


@pytest.mark.parametrize("half", ['"\\ud800"', '"\\ud800 and more"', '"\\udc00"'])
def test_half_of_a_surrogate_pair_is_no_text(half: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        form_of(f'{{"model":{half}}}')


def test_escapes_do_not_matter_and_what_looks_alike_does() -> None:
    assert form_of('{"model":"\\u00e9\\ud83d\\ude00\\/"}') == form_of('{"model":"é😀/"}')
    assert form_of('{"model":"é"}') != form_of('{"model":"e\\u0301"}')


def test_what_is_nested_too_deep_to_read_is_refused_and_not_half_read() -> None:
    with pytest.raises(RecursionError):
        form_of('{"tools":' + "[" * 100_000 + "]" * 100_000 + "}")


def test_tenants_namespaces_buckets_and_installations_have_entries_of_their_own() -> None:
    ours, theirs = Tenant(AccountId(1), ApiKeyId("a")), Tenant(AccountId(2), ApiKeyId("b"))
    keys = ResponseKeys(b"s" * 32, Sharing.ACCOUNT)
    different = [
        keys.of(ours, form()),
        keys.of(theirs, form()),
        keys.of(ours, form(), namespace="n"),
        keys.of(ours, form(), bucket=1),
        ResponseKeys(b"t" * 32, Sharing.ACCOUNT).of(ours, form()),
        ResponseKeys(b"s" * 32, Sharing.KEY).of(ours, form()),
    ]
    assert len({each.partition(":")[2] for each in different}) == len(different)


def test_keys_of_one_account_share_unless_each_is_a_scope_of_its_own() -> None:
    one, other = Tenant(AccountId(1), ApiKeyId("a")), Tenant(AccountId(1), ApiKeyId("b"))
    for sharing, shared in ((Sharing.ACCOUNT, True), (Sharing.KEY, False)):
        keys = ResponseKeys(b"s" * 32, sharing)
        assert (keys.of(one, form()) == keys.of(other, form())) is shared


def test_nothing_of_the_request_stands_in_its_key() -> None:
    keys = ResponseKeys(b"s" * 32, Sharing.ACCOUNT)
    scope, _, digest = keys.of(Tenant(AccountId(1), ApiKeyId("a")), form()).partition(":")
    assert scope == "account-1"
    assert len(digest) == 64
    assert int(digest, 16)
    assert "s" * 8 not in repr(keys)


def test_a_request_that_cannot_be_told_in_one_way_is_served_past_the_cache() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"seed":%b}'
    assert model.parse_chat_request(body % b"1e2").values is not None
    request = model.parse_chat_request(body % b"1e400")
    assert request.values is None
    assert bytes(request.body["seed"]) == b"1e400"
    plans = Plans(ResponseKeys(b"s" * 32, Sharing.ACCOUNT), ResponsesConfig(), ttl=60, rng=random.Random(0))
    plan = plans.of(Tenant(AccountId(1), ApiKeyId("a")), request.values, [])
    assert (plan.key, plan.why_not) == (None, Reason.UNREADABLE)
