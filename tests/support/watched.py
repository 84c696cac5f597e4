"""A gateway that is watched in a browser, asked beside it over plain HTTP."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tests.support.patience import PATIENCE

ADMIN = "the-admin-key-of-this-test"
WORKERS = 2
MODEL = "openai/gpt-4"


class Watched:
    """Every request comes over a connection of its own: to one of the workers, whichever it is."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, path: str, body: object = None, key: str = ADMIN) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        try:
            with urlopen(Request(self.url + path, data, headers, method=method), timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except HTTPError as refusal:
            with refusal:
                return refusal.code, json.load(refusal)

    def customer(self, name: str) -> str:
        """A key that can pay."""
        _, account = self.ask("POST", "/admin/accounts", {"username": name})
        _, made = self.ask("POST", "/admin/keys", {"name": name, "account_id": account["id"]})
        grant = {"account": name, "amount": "5", "reason": "a test", "reference": name}
        status, said = self.ask("POST", "/admin/credits/grant", grant)
        assert status < 300, said
        key: str = made["key"]
        return key

    def chat(self, key: str, question: str) -> int:
        body = {"model": MODEL, "messages": [{"role": "user", "content": question}]}
        return self.ask("POST", "/v1/chat/completions", body, key)[0]

    def explained(self, entity: str, key: str) -> dict[int, dict[str, Any]]:
        """By each worker: asks until both have answered."""
        path = f"/api/system/cache/explain?{urlencode({'entity': entity, 'key': key})}"
        told: dict[int, dict[str, Any]] = {}
        while len(told) < WORKERS:
            _, said = self.ask("GET", path)
            told[said["worker"]] = said
        return told
