"""Every catalog route over real HTTP, with good and with bad parameters."""

import json
from decimal import Decimal
from typing import Any

import pytest
from tests.support.gateway import RunningGateway

GOOD = (
    "/v1/models",
    "/models",
    "/api/models",
    "/v1/models?gateway=all",
    "/v1/models?gateway=openai",
    "/v1/models?provider=openai",
    "/v1/models?gateway=openai&provider=openai",
    "/v1/models?limit=1000",
    "/v1/models?offset=5",
    "/v1/models?offset=10000000",
    "/v1/models?unique_models=true",
    "/v1/models?unique_models=true&gateway=openai&limit=3",
    "/api/models/all",
    "/api/models/all?gateway=groq",
    "/v1/models/openai/gpt-4o",
    "/v1/models/openai/gpt-4o?gateway=openai",
    "/v1/models/OpenAI/GPT-4o",
    "/v1/models/openai%2Fgpt-4o",
    "/v1/models/openai/gpt-4o/endpoints",
    "/v1/models/openai/gpt-4o/compare",
    "/v1/models/openai/gpt-4o/compare?gateways=openai,openrouter",
    "/v1/models/unique",
    "/models/unique",
    "/v1/models/unique?min_providers=3&sort_by=cheapest_price&order=asc&include_inactive=true&limit=7&offset=2",
    "/v1/models/unique?min_providers=1000",
    "/v1/models/search",
    "/v1/models/search?q=gpt&modality=image&min_context=1&max_context=1000000&max_price=1",
    "/v1/models/search?q=GPT%204o&provider=openai&sort_by=price&order=desc",
    "/v1/providers",
    "/v1/gateways",
    "/v1/gateways/status",
    "/v1/providers/openai/stats",
    "/v1/catalog/stats",
)
BAD = (
    ("/v1/models?limit=0", "limit"),
    ("/v1/models?limit=1001", "limit"),
    ("/v1/models?limit=ten", "limit"),
    ("/v1/models?limit=", "limit"),
    ("/v1/models?limit=1&limit=2", "limit"),
    ("/v1/models?offset=-1", "offset"),
    ("/v1/models?offset=%D9%A1", "offset"),
    ("/v1/models?ofset=1", "ofset"),
    ("/v1/models?gateway=nobody", "gateway"),
    ("/v1/models?provider=nobody", "provider"),
    ("/v1/models?gateway=openai&provider=groq", "provider"),
    ("/v1/models?unique_models=maybe", "unique_models"),
    ("/api/models/all?limit=3", "limit"),
    ("/v1/models/openai/gpt-4o?gateway=nobody", "gateway"),
    ("/v1/models/openai/gpt-4o/endpoints?gateway=openai", "gateway"),
    ("/v1/models/openai/gpt-4o/compare?gateways=openai,nobody", "gateways"),
    ("/v1/models/unique?sort_by=beauty", "sort_by"),
    ("/v1/models/unique?order=up", "order"),
    ("/v1/models/unique?min_providers=-1", "min_providers"),
    ("/v1/models/search?min_price=-1", "min_price"),
    ("/v1/models/search?min_price=NaN", "min_price"),
    ("/v1/models/search?max_price=Infinity", "max_price"),
    ("/v1/models/search?q=", "q"),
    ("/v1/models/search?provider=nobody", "provider"),
    ("/v1/models/search?order=", "order"),
    ("/v1/providers?x=1", "x"),
    ("/v1/providers/openai/stats?x=1", "x"),
    ("/v1/catalog/stats?x=1", "x"),
)
ABSENT = (
    ("/v1/models/no/such-model", "model_not_found"),
    ("/v1/models/no/such-model/endpoints", "model_not_found"),
    ("/v1/models/no/such-model/compare", "model_not_found"),
    ("/v1/models/openai/gpt-4o%00", "model_not_found"),
    ("/v1/models/openai/gpt-4o?gateway=groq", "model_not_found"),
    ("/v1/providers/nobody/stats", "not_found"),
    ("/v1/nothing-here", "not_found"),
    ("/v1/models/", "not_found"),
    ("/", "not_found"),
)


async def get(gateway: RunningGateway, path: str, status: int = 200) -> Any:  # noqa: ANN401  any JSON
    async with gateway.client() as client, client.get(gateway.at(path)) as response:
        assert response.status == status, await response.text()
        assert response.headers["x-request-id"]
        return json.loads(await response.read(), parse_float=Decimal)


@pytest.mark.parametrize("path", GOOD)
async def test_a_good_request_is_answered_in_json_with_a_strong_tag(gateway: RunningGateway, path: str) -> None:
    async with gateway.client() as client, client.get(gateway.at(path)) as response:
        body = await response.read()
        assert response.status == 200, body
        assert response.headers["content-type"] == "application/json"
        assert response.headers["etag"].startswith('"')
        assert int(response.headers["content-length"]) == len(body)
        assert "gatewayz" in response.headers["cache-status"]
        assert isinstance(json.loads(body), dict)


@pytest.mark.parametrize(("path", "param"), BAD)
async def test_a_bad_parameter_is_refused_by_name(gateway: RunningGateway, path: str, param: str) -> None:
    error = (await get(gateway, path, 400))["error"]
    assert error["param"] == param
    assert error["code"] == "invalid_request"
    assert error["type"] == "invalid_request_error"
    assert repr(param) in error["message"] or error["message"].startswith("unknown")


@pytest.mark.parametrize(("path", "code"), ABSENT)
async def test_what_does_not_exist_is_not_found(gateway: RunningGateway, path: str, code: str) -> None:
    error = (await get(gateway, path, 404))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code


async def test_a_misspelt_parameter_is_told_the_nearest_real_one(gateway: RunningGateway) -> None:
    assert "did you mean 'offset'?" in (await get(gateway, "/v1/models?ofset=1", 400))["error"]["message"]


async def test_hostile_queries_are_refused_and_nothing_breaks(gateway: RunningGateway) -> None:
    for query in ("q=%FF", "q=%C3%28", "q=" + "a" * 5000, "&".join(f"a{n}=1" for n in range(60)), "q=%", "=", "%00=1"):
        async with gateway.client() as client, client.get(gateway.at(f"/v1/models/search?{query}")) as response:
            expected = 200 if query == "q=%" else 400
            assert response.status == expected, (query, await response.read())
            assert "Traceback" not in (await response.read()).decode()


async def test_without_paging_parameters_the_whole_list_is_one_answer(gateway: RunningGateway) -> None:
    answer = await get(gateway, "/v1/models")
    assert answer["object"] == "list"
    assert answer["total"] == answer["returned"] == len(answer["data"]) > 2000
    assert (answer["offset"], answer["limit"], answer["has_more"], answer["next_offset"]) == (0, None, False, None)


async def test_with_an_offset_alone_a_page_has_a_hundred(gateway: RunningGateway) -> None:
    answer = await get(gateway, "/v1/models?offset=5")
    assert (answer["limit"], answer["returned"], answer["next_offset"], answer["has_more"]) == (100, 100, 105, True)


async def test_following_next_offset_gives_every_model_once(gateway: RunningGateway) -> None:
    whole = await get(gateway, "/v1/models")
    seen: list[Any] = []
    offset: int | None = 0
    while offset is not None:
        page = await get(gateway, f"/v1/models?limit=700&offset={offset}")
        assert page["total"] == whole["total"]
        seen += page["data"]
        offset = page["next_offset"]
    assert seen == whole["data"]


async def test_an_offset_past_the_end_is_an_empty_page(gateway: RunningGateway) -> None:
    answer = await get(gateway, "/v1/models?offset=10000000")
    assert (answer["data"], answer["returned"], answer["has_more"], answer["next_offset"]) == ([], 0, False, None)
    assert answer["total"] > 2000


async def test_one_gateways_models_are_all_its_own(gateway: RunningGateway) -> None:
    answer = await get(gateway, "/v1/models?gateway=groq")
    assert {model["provider"] for model in answer["data"]} == {"groq"}
    assert answer["data"] == (await get(gateway, "/api/models/all?gateway=groq"))["data"]
    assert answer["total"] == (await get(gateway, "/v1/providers/groq/stats"))["models"]


async def test_a_model_has_every_promised_field_and_prices_in_plain_decimals(gateway: RunningGateway) -> None:
    model = await get(gateway, "/v1/models/openai/gpt-4o?gateway=openai")
    assert {
        "id",
        "object",
        "created",
        "owned_by",
        "name",
        "provider",
        "description",
        "context_length",
        "max_output_tokens",
        "architecture",
        "pricing",
        "supported_parameters",
        "capabilities",
        "health",
        "is_free",
        "is_active",
    } <= set(model)
    assert set(model["architecture"]) == {"modality", "input_modalities", "output_modalities", "tokenizer"}
    assert {"tools", "vision", "streaming", "json", "reasoning", "prompt_caching"} == set(model["capabilities"])
    assert isinstance(model["created"], int)
    for answer in (await get(gateway, "/v1/models"))["data"]:
        for price in answer["pricing"].values():
            assert isinstance(price, str)
            assert "e" not in price.lower()
            assert Decimal(price) >= 0


async def test_the_cheapest_offer_with_a_known_price_stands_for_a_model(gateway: RunningGateway) -> None:
    endpoints = (await get(gateway, "/v1/models/openai/gpt-4o/endpoints"))["data"]["endpoints"]
    prices = [Decimal(each["pricing"]["prompt"]) for each in endpoints if "prompt" in each["pricing"]]
    model = await get(gateway, "/v1/models/openai/gpt-4o")
    assert Decimal(model["pricing"]["prompt"]) == min(prices)


async def test_the_endpoints_of_a_model_name_each_provider_in_openrouters_shape(gateway: RunningGateway) -> None:
    data = (await get(gateway, "/v1/models/openai/gpt-4o/endpoints"))["data"]
    assert data["id"] == "openai/gpt-4o"
    assert {"openai", "openrouter"} <= {each["tag"] for each in data["endpoints"]}
    assert all(each["provider_name"] and each["health"] == {"status": "unknown"} for each in data["endpoints"])


async def test_a_comparison_recommends_the_lowest_known_price(gateway: RunningGateway) -> None:
    comparison = await get(gateway, "/v1/models/openai/gpt-4o/compare")
    prices = [Decimal(each["pricing"]["prompt"]) for each in comparison["gateways"] if "prompt" in each["pricing"]]
    assert prices == sorted(prices)
    assert Decimal(comparison["recommendation"]["prompt_price"]) == prices[0]
    chosen = await get(gateway, "/v1/models/openai/gpt-4o/compare?gateways=openai")
    assert [each["gateway"] for each in chosen["gateways"]] == ["openai"]


async def test_unique_models_are_sorted_filtered_and_paged_as_asked(gateway: RunningGateway) -> None:
    answer = await get(gateway, "/v1/models/unique?min_providers=3&sort_by=provider_count&order=desc&limit=5")
    counts = [model["provider_count"] for model in answer["models"]]
    assert counts == sorted(counts, reverse=True)
    assert min(counts) >= 3
    assert answer["filters"] == {"min_providers": 3, "include_inactive": False}
    assert answer["sort"] == {"sort_by": "provider_count", "order": "desc"}
    assert answer["returned"] == answer["limit"] == 5
    for model in answer["models"]:
        assert model["provider_count"] == len({each["slug"] for each in model["providers"]})


async def test_an_unknown_price_is_never_the_cheapest(gateway: RunningGateway) -> None:
    answer = await get(gateway, "/v1/models/unique?sort_by=cheapest_price&order=asc&limit=1000")
    prices = [model["cheapest_prompt_price"] for model in answer["models"]]
    known = [Decimal(price) for price in prices if price is not None]
    assert known == sorted(known)
    assert prices[len(known) :] == [None] * (len(prices) - len(known))
    for model in answer["models"]:
        if model["cheapest_provider"] is None:
            assert all("prompt" not in each["pricing"] for each in model["providers"])


async def test_a_search_finds_what_holds_every_word_within_the_bounds(gateway: RunningGateway) -> None:
    answer = await get(gateway, "/v1/models/search?q=GPT%20mini&max_price=0.000001&sort_by=price&order=asc&limit=50")
    assert answer["total"] > 0
    for model in answer["data"]:
        assert {"gpt", "mini"} <= {word for word in ("gpt", "mini") if word in f"{model['id']} {model['name']}".lower()}
        assert Decimal(model["pricing"]["prompt"]) <= Decimal("0.000001")


async def test_the_list_of_unique_models_agrees_with_the_statistics(gateway: RunningGateway) -> None:
    stats = await get(gateway, "/v1/catalog/stats")
    assert stats["total_models"] == (await get(gateway, "/v1/models?limit=1"))["total"]
    assert stats["total_unique_models"] == (await get(gateway, "/v1/models/unique?limit=1"))["total"]
    assert stats["total_providers"] == len((await get(gateway, "/v1/providers"))["data"])
    assert 0 < stats["priced_share"] <= 1
    assert stats["version"]


async def test_providers_say_whether_they_are_configured_and_never_more(gateway: RunningGateway) -> None:
    providers = {each["slug"]: each for each in (await get(gateway, "/v1/providers"))["data"]}
    assert providers["demo"]["is_configured"] is True
    assert providers["doubleword"]["is_configured"] is False
    assert set(providers["demo"]) == {"slug", "name", "is_configured", "models", "changed_at", "health"}
