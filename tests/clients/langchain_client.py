"""What LangChain gets of a gateway, as JSON: LangChain has an environment of its own, `make clients`.

Arguments: the gateway's address, an API key, a model for chats, and one for vectors.
"""

import functools
import json
import operator
import sys
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Rain in {city}"


WEATHER: Any = tool(weather)


def said(model: Any) -> dict[str, Any]:  # noqa: ANN401  a chat of either kind
    """Whole, streamed, and by way of a tool."""
    question = HumanMessage("How is the weather in Oslo?")
    with_tools = model.bind_tools([WEATHER])
    called = with_tools.invoke([question])
    (call,) = called.tool_calls
    result = ToolMessage(WEATHER.invoke(call["args"]), tool_call_id=call["id"])
    streamed = functools.reduce(operator.add, with_tools.stream([question]))
    whole = model.invoke("Hi")
    return {
        "whole": whole.text,
        "tokens": whole.usage_metadata["total_tokens"],
        "stream": "".join(chunk.text for chunk in model.stream("Hello")),
        "call": {"name": call["name"], "args": call["args"]},
        "streamed call": {"name": streamed.tool_calls[0]["name"], "args": streamed.tool_calls[0]["args"]},
        "after the call": with_tools.invoke([question, called, result]).text,
    }


def main(url: str, key: str, chat: str, vectors: str) -> None:
    # Without a look at its length, for which it would fetch a table from elsewhere.
    embeddings = OpenAIEmbeddings(
        base_url=f"{url}/v1", api_key=key, model=vectors, check_embedding_ctx_length=False, max_retries=0
    )
    found = {
        "openai": said(ChatOpenAI(base_url=f"{url}/v1", api_key=key, model=chat, max_retries=0)),
        "anthropic": said(ChatAnthropic(base_url=url, api_key=key, model=chat, max_retries=0, max_tokens=100)),
        "vectors": [embeddings.embed_documents(texts) for texts in (["one", "two"], ["two", "three", "two"])],
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
