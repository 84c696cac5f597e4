"""A chat that was asked before, the whole way (key, limits, credits, metrics), beside a bare ASGI application that
reads the same body and sends the same bytes.
"""

import json
from collections.abc import Iterator

from benchmarks.load.lab import Lab, made_key
from benchmarks.load.servers import fetch, gateway
from benchmarks.load.side_by_side import Case, compare
from benchmarks.machine import cores
from benchmarks.options import Options, Tell
from benchmarks.result import Figure

SHARE = 0.45
_PATH = "/v1/chat/completions"
_TEXT = "The quick brown fox jumps over the lazy dog. " * 20
_MANY = 5_000
"""More than a worker remembers the very bytes of, so that each goes the whole way."""
_CREDITS = ("--credits", "10")
_LIMITS = ("--limit", "requests_per_minute=1000000000", "--limit", "tokens_per_minute=1000000000000")


def run(lab: Lab, options: Options, tell: Tell) -> Iterator[Figure]:
    installed = lab.empty("kept-answers")
    with gateway(installed, core=cores()[0]) as server:
        keys = {
            "no limits": made_key(installed, *_CREDITS),
            "two limits": made_key(installed, *_CREDITS, *_LIMITS),
        }
        cases = [
            _case(f"a chat asked before, {form}, {limits}", key, is_streaming=form == "streamed")
            for limits, key in keys.items()
            for form in ("whole", "streamed")
        ]
        cases.append(_case(f"another of {_MANY:,} chats asked before each time", keys["no limits"], chats=_MANY))
        for case in cases:
            for _, body in case.requests:
                fetch(server.address, _PATH, case.headers, body)  # is kept now
            tell(case.name)
            yield from compare(case, server, lab.place, options).figures("response cache")


def _case(name: str, key: str, *, is_streaming: bool = False, chats: int = 1) -> Case:
    return Case(
        name=name,
        targets=(_PATH,),
        headers=(("authorization", f"Bearer {key}"),),
        bodies=[_body(f"{_TEXT}{number:04}", is_streaming=is_streaming) for number in range(chats)],
        bar=SHARE,
        latency=True,
    )


def _body(text: str, *, is_streaming: bool) -> bytes:
    asked = {"model": "demo/echo", "messages": [{"role": "user", "content": text}], "stream": is_streaming}
    return json.dumps(asked).encode()
