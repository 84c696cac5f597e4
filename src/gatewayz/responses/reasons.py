"""Why an answer was not looked up, not found, or not kept: the words in `Cache-Status` and in the metrics."""

from enum import StrEnum


class Reason(StrEnum):
    # It was not looked up.
    DISABLED = "disabled"
    NO_CACHE = "no-cache"
    NO_STORE = "no-store"
    TEMPERATURE = "temperature"
    LIVE_DATA = "live-data"
    AUDIO = "audio"
    READ_TOGETHER = "read-together"
    FALLBACKS = "fallbacks"
    UNREADABLE = "unreadable"
    # It was looked up, and there is none that will do.
    ABSENT = "absent"
    TOO_OLD = "too-old"
    # It cannot be kept.
    BROKEN = "broken"
    ERROR = "error"
    NOT_ENDED = "not-ended"
    INCOMPLETE = "incomplete"
    CONTENT_FILTER = "content-filter"
    TOOL_ARGUMENTS = "tool-arguments"
    EMPTY = "empty"
    OTHER_MODEL = "other-model"
    TOO_LARGE = "too-large"
    PURGED = "purged"
    UNKNOWN_FORM = "unknown-form"


class NotKept(Exception):
    """The answer must not be kept."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason
