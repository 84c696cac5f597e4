"""Keys that nobody knows, and clients behind a proxy, over HTTP."""

from pathlib import Path

from tests.support.administered import CHAT
from tests.support.gateway import parts_of, running_gateway

from gatewayz.embedded.servers import Servers


async def test_more_unknown_keys_than_are_looked_up_are_told_when_to_try_again(
    servers: Servers, tmp_path: Path
) -> None:
    bound = {"unknown_key_burst": 1, "unknown_key_rate": 0.01}
    async with running_gateway(servers, tmp_path, accounts=bound) as gateway, gateway.client() as client:

        async def chat(key: str) -> tuple[int, str | None, str | None]:
            headers = {"x-api-key": key}
            async with client.post(gateway.at("/v1/chat/completions"), json=CHAT, headers=headers) as answer:
                body = await answer.json()
                return answer.status, body.get("error", {}).get("code"), answer.headers.get("retry-after")

        assert await chat("an-unknown-key") == (401, "invalid_api_key", None)
        status, code, retry_after = await chat("another-unknown-key")
        assert (status, code) == (429, "rate_limit_exceeded")
        assert retry_after is not None
        assert 90 <= int(retry_after) <= 100
        assert await chat("an-unknown-key") == (401, "invalid_api_key", None)
        assert await chat(f"gw_live_{'A' * 49}") == (401, "invalid_api_key", None)
        assert (await chat(gateway.api_key))[0] == 200


async def test_behind_a_trusted_proxy_a_key_is_bound_to_the_clients_network(servers: Servers, tmp_path: Path) -> None:
    async with running_gateway(servers, tmp_path, trusted_proxies=["127.0.0.0/8"]) as gateway:
        async with parts_of(gateway.settings) as parts:
            made = await parts.keys.create(name="n", account="a", networks=["192.0.2.0/24"])
        async with gateway.client(Authorization=f"Bearer {made.secret}") as client:
            for forwarded, status in (
                ("192.0.2.7", 200),
                ("203.0.113.1, 192.0.2.7", 200),
                ("192.0.2.7, 203.0.113.1", 403),
                ("203.0.113.1", 403),
                ("nonsense", 403),
            ):
                headers = {"X-Forwarded-For": forwarded}
                async with client.get(gateway.at("/v1/key"), headers=headers) as answer:
                    assert answer.status == status, forwarded


async def test_without_trusted_proxies_nobody_may_say_where_a_request_comes_from(
    servers: Servers, tmp_path: Path
) -> None:
    async with running_gateway(servers, tmp_path) as gateway:
        async with parts_of(gateway.settings) as parts:
            made = await parts.keys.create(name="n", account="a", networks=["192.0.2.0/24"])
        headers = {"X-Forwarded-For": "192.0.2.7", "Authorization": f"Bearer {made.secret}"}
        async with gateway.client() as client, client.get(gateway.at("/v1/key"), headers=headers) as answer:
            assert answer.status == 403
