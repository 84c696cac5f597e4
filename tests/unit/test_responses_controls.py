"""What requests say of the cache, in every language that is understood."""

import math
from typing import Any

import pytest

from gatewayz.core.errors import InvalidRequest
from gatewayz.responses.controls import ALIASES, DEFAULT, Controls, controls_of

OFF = {"may_read": False, "may_store": False}


def said(cache: object = None, **headers: str) -> Controls:
    return controls_of([(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()], cache)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("no-cache", {"may_read": False}),
        ("no-store", {"may_store": False}),
        ("only-if-cached", {"only_if_cached": True}),
        ("max-age=60", {"max_age": 60}),
        ("max-age=0", {"max_age": 0}),
        ("max-stale", {"max_stale": math.inf}),
        ("max-stale=5", {"max_stale": 5}),
        ("stale-if-error=600", {"stale_if_error": 600}),
        ("stale-if-error", {"stale_if_error": math.inf}),
        ('No-Cache , MAX-AGE="7", no-transform, whatever=x', {"may_read": False, "max_age": 7}),
        ("no-transform", {}),
    ],
)
def test_cache_control_is_read_as_http_has_it(header: str, expected: dict[str, Any]) -> None:
    assert said(cache_control=header) == Controls(**expected)


@pytest.mark.parametrize(
    ("cache", "expected"),
    [
        ({}, {}),
        (True, {}),
        (False, OFF),
        ({"ttl": 60}, {"ttl": 60}),
        ({"ttl": 1.5, "s-maxage": 30}, {"ttl": 1.5, "max_age": 30}),
        ({"no-cache": True}, {"may_read": False}),
        ({"no-store": True, "no-cache": False}, {"may_store": False}),
        ({"namespace": "v2", "tags": ["a", "b:c", "a"]}, {"namespace": "v2", "tags": ("a", "b:c")}),
        ({"buckets": 3}, {"buckets": 3}),
        ({"ttl": None}, {}),
    ],
)
def test_the_body_says_it_in_its_member_cache(cache: object, expected: dict[str, Any]) -> None:
    assert said(cache) == Controls(**expected)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("X-OpenRouter-Cache", "true", {}),
        ("X-OpenRouter-Cache", "false", OFF),
        ("X-OpenRouter-Cache-Clear", "true", {"may_read": False}),
        ("X-OpenRouter-Cache-TTL", "600", {"ttl": 600}),
        ("cf-aig-skip-cache", "true", OFF),
        ("cf-aig-cache-ttl", "600", {"ttl": 600}),
        ("cf-aig-cache-key", "mine", {"namespace": "mine"}),
        ("x-portkey-cache-force-refresh", "True", {"may_read": False}),
        ("x-portkey-cache-namespace", "user-1", {"namespace": "user-1"}),
        ("Helicone-Cache-Enabled", "true", {}),
        ("Helicone-Cache-Enabled", "false", OFF),
        ("Helicone-Cache-Bucket-Max-Size", "3", {"buckets": 3}),
        ("Helicone-Cache-Seed", "user-1", {"namespace": "user-1"}),
    ],
)
def test_what_clients_of_other_gateways_send_means_the_same_here(
    name: str, value: str, expected: dict[str, Any]
) -> None:
    assert name in ALIASES
    assert said(None, **{name.lower(): value}) == Controls(**expected)


def test_every_alias_has_its_test() -> None:
    marks = test_what_clients_of_other_gateways_send_means_the_same_here.pytestmark
    assert {case[0] for case in marks[0].args[1]} == set(ALIASES)


@pytest.mark.parametrize(
    ("cache", "headers", "blamed"),
    [
        ({"ttl": 0}, {}, "cache.ttl"),
        ({"ttl": "soon"}, {}, "cache.ttl"),
        ({"ttl": True}, {}, "cache.ttl"),
        ({"ttl": 1e12}, {}, "cache.ttl"),
        ({"s-maxage": -1}, {}, "cache.s-maxage"),
        ({"no-cache": "perhaps"}, {}, "cache.no-cache"),
        ({"namespace": "a b"}, {}, "cache.namespace"),
        ({"namespace": ""}, {}, "cache.namespace"),
        ({"tags": []}, {}, "cache.tags"),
        ({"tags": ["a b"]}, {}, "cache.tags"),
        ({"tags": [str(n) for n in range(17)]}, {}, "cache.tags"),
        ({"buckets": 0}, {}, "cache.buckets"),
        ({"time": 5}, {}, "cache.time"),
        ([], {}, "cache"),
        ("no", {}, "cache"),
        (None, {"cache_control": "max-age=soon"}, "Cache-Control: max-age"),
        (None, {"cache_control": "max-age"}, "Cache-Control: max-age"),
        (None, {"x-openrouter-cache-ttl": "0"}, "X-OpenRouter-Cache-TTL"),
        (None, {"cf-aig-skip-cache": "maybe"}, "cf-aig-skip-cache"),
        (None, {"helicone-cache-bucket-max-size": "many"}, "Helicone-Cache-Bucket-Max-Size"),
    ],
)
def test_a_value_that_is_none_is_refused_by_the_name_of_its_field(
    cache: object, headers: dict[str, str], blamed: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        said(cache, **headers)
    assert refused.value.param == blamed
    assert blamed.rpartition(".")[2] in refused.value.message


def test_the_body_goes_before_the_headers_and_cache_control_before_the_others() -> None:
    headers = {"x-openrouter-cache-ttl": "1", "cache_control": "max-age=2"}
    assert said({"ttl": 3, "s-maxage": 4}, **headers) == Controls(ttl=3, max_age=4)
    assert said(None, **headers) == Controls(ttl=1, max_age=2)


def test_what_one_place_forbids_no_other_allows() -> None:
    assert said({"no-store": False}, cache_control="no-store") == Controls(may_store=False)
    assert said({"no-cache": False}, **{"x-openrouter-cache": "false"}) == Controls(may_read=False, may_store=False)


def test_who_says_nothing_of_the_cache_has_the_defaults() -> None:
    assert (
        controls_of([(b"host", b"h"), (b"user-agent", b"OpenAI/Python"), (b"x-stainless-os", b"Linux")], None)
        is DEFAULT
    )
