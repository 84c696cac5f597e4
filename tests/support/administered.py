"""A gateway as its administrator asks it: JSON in, status and JSON out."""

import itertools
from typing import Any, NamedTuple

import aiohttp

from tests.support.gateway import RunningGateway

CHAT = {"model": "demo/echo", "messages": [{"role": "user", "content": "Hello"}]}
_NUMBERS = itertools.count(1)


class Answer(NamedTuple):
    status: int
    body: Any

    @property
    def error(self) -> tuple[int, str, str | None]:
        """Status, code and the field to blame."""
        return self.status, self.body["error"]["code"], self.body["error"]["param"]


class Administered:
    """`client` shows the admin key, of which `key_id` is the id."""

    def __init__(self, gateway: RunningGateway, client: aiohttp.ClientSession, key_id: str) -> None:
        self.gateway = gateway
        self.client = client
        self.key_id = key_id

    async def ask(self, method: str, path: str, body: object = None, *, key: str | None = None) -> Answer:
        """With the admin key, or another one."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with self.client.request(method, self.gateway.at(path), json=body, headers=headers) as answer:
            said = await answer.read()
            assert answer.headers["x-request-id"]
            return Answer(answer.status, await answer.json() if said else None)

    async def account(self, **terms: object) -> dict[str, Any]:
        """A new account."""
        made = await self.ask("POST", "/admin/accounts", {"username": f"account {next(_NUMBERS)}", **terms})
        assert made.status == 201, made.body
        account: dict[str, Any] = made.body
        return account

    async def key(self, **terms: object) -> dict[str, Any]:
        """A new key, of a new account unless one is named."""
        account_id = terms.pop("account_id", None) or (await self.account())["id"]
        made = await self.ask("POST", "/admin/keys", {"name": "k", "account_id": account_id, **terms})
        assert made.status == 201, made.body
        key: dict[str, Any] = made.body
        return key

    async def chat(self, key: str) -> int:
        """The status of a chat with the key."""
        return (await self.ask("POST", "/v1/chat/completions", CHAT, key=key)).status
