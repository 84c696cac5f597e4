"""What commands print: people's words to standard error, results and JSON to standard output."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from gatewayz.core.errors import GatewayzError
from gatewayz.embedded.errors import EmbeddedError

FAILED = 1

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the audit log.")]

_WIDE = 240


class Output:
    """`notes` are for people and go to standard error, so that results can be piped."""

    def __init__(self) -> None:
        self.notes = Console(stderr=True, highlight=False, markup=False)
        # Where nobody watches, a table is as wide as it needs: cut names are of no use to a pipe.
        self.results = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDE)

    def say(self, text: str) -> None:
        """A note, wrapped by nobody: keys and commands must survive copying."""
        self.notes.print(text, soft_wrap=True)

    def json(self, form: object) -> None:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(form), indent=2) + b"\n")
        sys.stdout.flush()

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.notes, transient=True) as progress:
            yield progress

    @contextmanager
    def explaining_errors(self) -> Iterator[None]:
        """Ours are told in a sentence and exit code 1; anything else is a bug and keeps its traceback."""
        try:
            yield
        except (GatewayzError, EmbeddedError) as error:
            self.notes.print(Text("error:", style="red"), str(error), soft_wrap=True)
            sys.exit(FAILED)


def table(columns: Sequence[str | Column], rows: Iterable[Sequence[str]]) -> Table:
    """Cells are shown as they are: whatever people call a key, nothing in it is taken for styling."""
    made = Table(*columns)
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made
