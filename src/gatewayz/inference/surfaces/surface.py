"""A surface: the form in which a caller asks and is answered. Behind it everything is a chat in OpenAI's form."""

from typing import Protocol


class Events(Protocol):
    """One stream of a chat's events on its way into the caller's form."""

    def feed(self, chunk: bytes) -> bytes:
        """What can be told by now; the stream may be split at any byte. Raises ProviderFailed where it tells of an
        error, or is none.
        """
        ...

    def end(self) -> bytes:
        """What is left to tell. Raises ProviderFailed where the stream ended before its answer was whole."""
        ...


class Answering(Protocol):
    """How one request is answered."""

    def whole(self, answer: bytes) -> bytes:
        """A whole chat completion in the caller's form. Raises ProviderFailed where it is none."""
        ...

    def events(self) -> Events: ...


class Surface(Protocol):
    def chat(self, body: bytes) -> bytes:
        """The request as one for a chat. Raises InvalidRequest that names the caller's own field."""
        ...

    def answering(self, body: bytes) -> Answering:
        """`body`: as it came, and `chat` could read it."""
        ...
