"""A Dockerfile, read: its stages and their instructions in order, as far as ours goes."""

import json
import re
from pathlib import Path

from msgspec import Struct


class Instruction(Struct, frozen=True):
    """`flags`: as `--from=build`, without the dashes."""

    name: str
    flags: dict[str, str]
    rest: str

    @property
    def words(self) -> list[str]:
        """In the JSON form or the plain one."""
        return json.loads(self.rest) if self.rest.startswith("[") else self.rest.split()


class Stage(Struct, frozen=True):
    image: str
    name: str
    instructions: list[Instruction]

    def all(self, name: str) -> list[Instruction]:
        return [each for each in self.instructions if each.name == name]

    def one(self, name: str) -> Instruction:
        """Of the instructions of this name, the only one."""
        (found,) = self.all(name)
        return found


def stages(path: Path) -> list[Stage]:
    found: list[Stage] = []
    text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            image, _, alias = rest.partition(" AS ")
            found.append(Stage(image, alias, []))
        else:
            found[-1].instructions.append(_instruction(name, rest.strip()))
    return found


def _instruction(name: str, rest: str) -> Instruction:
    flags = {}
    while name in {"COPY", "HEALTHCHECK"} and rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        key, _, value = flag.removeprefix("--").partition("=")
        flags[key] = value
        rest = rest.strip()
    return Instruction(name, flags, rest)
