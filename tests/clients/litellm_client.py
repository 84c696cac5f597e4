"""What LiteLLM's client gets of a gateway, as JSON: as langchain_client.py."""

import json
import sys
from typing import Any

import litellm

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def said(**client: Any) -> dict[str, Any]:  # noqa: ANN401  those of LiteLLM
    """Whole, streamed, and by way of a tool."""

    def ask(*messages: Any, **others: Any) -> Any:  # noqa: ANN401  as above
        return litellm.completion(messages=list(messages), max_retries=0, max_tokens=100, **client, **others)

    question = {"role": "user", "content": "How is the weather in Oslo?"}
    called = ask(question, tools=[TOOL]).choices[0].message
    (call,) = called.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "Rain"}
    chunks = list(ask(question, tools=[TOOL], stream=True))
    streamed = litellm.stream_chunk_builder(chunks).choices[0].message.tool_calls[0]
    whole = ask({"role": "user", "content": "Hi"})
    words = ask({"role": "user", "content": "Hello"}, stream=True)
    return {
        "whole": whole.choices[0].message.content,
        "tokens": whole.usage.total_tokens,
        "stream": "".join(chunk.choices[0].delta.content or "" for chunk in words),
        "call": {"name": call.function.name, "args": json.loads(call.function.arguments)},
        "streamed call": {"name": streamed.function.name, "args": json.loads(streamed.function.arguments)},
        "after the call": ask(question, called.model_dump(), result, tools=[TOOL]).choices[0].message.content,
    }


def main(url: str, key: str, chat: str, vectors: str) -> None:
    embedded = [
        litellm.embedding(model=f"openai/{vectors}", input=texts, api_base=f"{url}/v1", api_key=key, max_retries=0)
        for texts in (["one", "two"], ["two", "three", "two"])
    ]
    found = {
        "openai": said(model=f"openai/{chat}", api_base=f"{url}/v1", api_key=key),
        "anthropic": said(model=f"anthropic/{chat}", api_base=url, api_key=key),
        "vectors": [[entry["embedding"] for entry in each.data] for each in embedded],
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
