"""Structured logs to standard error: for people on a terminal, JSON elsewhere."""

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from gatewayz.telemetry.config import LogConfig


def configure_logs(config: LogConfig) -> None:
    """Set up this process's logs. Calling again replaces the set-up."""
    human = config.format == "human" or (config.format == "auto" and sys.stderr.isatty())
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer(_encoded)
    )
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([] if human else [structlog.processors.format_exc_info]),
    ]
    _lead_libraries(config, shared, renderer)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level_number(config)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _encoded(line: object, *, default: Callable[[Any], Any]) -> str:
    """A third of the time that a request's line takes would go into the standard library's JSON."""
    try:
        return msgspec.json.encode(line, enc_hook=default).decode()
    except (ValueError, OverflowError):  # text that is no UTF-8, as names of files may be; numbers beyond 64 bits
        return json.dumps(line, default=default)


def _lead_libraries(
    config: LogConfig, shared: list[structlog.types.Processor], renderer: structlog.types.Processor
) -> None:
    """What libraries write by the standard `logging` comes out in the same form, from warnings on."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(logging.WARNING, level_number(config)), handlers=[lines], force=True)
    # It warns of every request that cannot be read, which anybody can send by the thousand.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def level_number(config: LogConfig) -> int:
    return logging.getLevelNamesMapping()[config.level.upper()]
