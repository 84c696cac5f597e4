"""Lines of the log in JSON, whatever stands in them."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from gatewayz.telemetry.config import LogConfig
from gatewayz.telemetry.logs import configure_logs


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logs(LogConfig(level="info", format="json"))
    yield written
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "text"),
        (0.25, 0.25),
        (Path("/a/b"), "PosixPath('/a/b')"),
        ("no UTF-8: \udcff", "no UTF-8: \udcff"),
        (2**70, 2**70),
    ],
)
def test_any_value_can_be_written(written: io.StringIO, value: object, shown: object) -> None:
    structlog.get_logger("a name").info("event", value=value)
    line = json.loads(written.getvalue())
    assert (line["event"], line["level"]) == ("event", "info")
    assert line["value"] == shown


def test_lines_below_the_level_are_not_written(written: io.StringIO) -> None:
    structlog.get_logger("a name").debug("event")
    assert not written.getvalue()
