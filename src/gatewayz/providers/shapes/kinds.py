"""What goes in and comes out, by the word a list uses for the kind of model."""

from collections.abc import Mapping

_TEXT = (("text",), ("text",))
_EMBEDDINGS = (("text",), ("embeddings",))
_IMAGE = (("text",), ("image",))
_SPEECH = (("text",), ("audio",))
_TRANSCRIPT = (("audio",), ("text",))
_VIDEO = (("text",), ("video",))
_RERANK = (("text",), ("rerank",))

KINDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "chat": _TEXT,
    "code": _TEXT,
    "completion": _TEXT,
    "language": _TEXT,
    "moderation": _TEXT,
    "responses": _TEXT,
    "text generation": _TEXT,
    "text-generation": _TEXT,
    "embedding": _EMBEDDINGS,
    "embeddings": _EMBEDDINGS,
    "text embeddings": _EMBEDDINGS,
    "image": _IMAGE,
    "image_generation": _IMAGE,
    "text-to-image": _IMAGE,
    "image_edit": (("text", "image"), ("image",)),
    "audio": _SPEECH,
    "audio_speech": _SPEECH,
    "text-to-speech": _SPEECH,
    "audio_transcription": _TRANSCRIPT,
    "automatic speech recognition": _TRANSCRIPT,
    "automatic-speech-recognition": _TRANSCRIPT,
    "transcribe": _TRANSCRIPT,
    "ocr": (("image",), ("text",)),
    "realtime": (("text", "audio"), ("text", "audio")),
    "text-to-video": _VIDEO,
    "video": _VIDEO,
    "video_generation": _VIDEO,
    "rerank": _RERANK,
    "reranker": _RERANK,
}
