"""Lua scripts the way Redis runs them: Lua 5.1, `redis.call`, and its conversions both ways."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from lupa.lua51 import LuaError, LuaRuntime, lua_type

from tests.simulation.replies import Refusal, Reply, Status

Call: TypeAlias = Callable[[list[bytes]], Reply]
"""Runs one command; raises Refusal."""

_HOST = """
return function(python_call)
  redis = {
    call = function(...)
      local failed, reply = python_call(...)
      if failed then error(reply.err, 0) end
      return reply
    end,
    pcall = function(...)
      local failed, reply = python_call(...)
      return reply
    end,
    error_reply = function(text) return {err = text} end,
    status_reply = function(text) return {ok = text} end,
  }
end
"""


class Lua:
    """One interpreter for all servers of a process; scripts are compiled once."""

    def __init__(self) -> None:
        self._runtime = LuaRuntime(encoding=None, unpack_returned_tuples=True)
        self._compiled: dict[str, Any] = {}
        self._call: Call | None = None
        self._runtime.execute(_HOST.encode())(self._called)
        self._table = self._runtime.table_from
        self._err = self._runtime.eval(b"function(text) return {err = text} end")
        self._ok = self._runtime.eval(b"function(text) return {ok = text} end")

    def run(self, text: str, keys: Sequence[bytes], arguments: Sequence[bytes], call: Call) -> Reply:
        """Raises Refusal."""
        function = self._compiled.get(text)
        if function is None:
            source = f"return function(KEYS, ARGV) {text}\nend"
            try:
                function = self._compiled[text] = self._runtime.execute(source.encode())
            except LuaError as error:
                raise Refusal(f"ERR Error compiling script: {error}") from error
        before, self._call = self._call, call
        try:
            return self._reply(function(self._table(keys), self._table(arguments)))
        except LuaError as error:
            raise Refusal(_said(error)) from error
        finally:
            self._call = before

    def _called(self, *arguments: Any) -> tuple[bool, Any]:  # noqa: ANN401  what a script gives
        assert self._call is not None
        command = []
        for each in arguments:
            if type(each) is bytes:
                command.append(each)
            elif isinstance(each, int | float) and not isinstance(each, bool):
                command.append(b"%.17g" % each)
            else:
                return True, self._err(b"ERR Lua redis() command arguments must be strings or integers")
        try:
            return False, self._lua(self._call(command))
        except Refusal as refusal:
            return True, self._err(refusal.text.encode())

    def _lua(self, reply: Reply) -> Any:  # noqa: ANN401  as a script sees it
        if reply is None:
            return False
        if isinstance(reply, Status):
            return self._ok(bytes(reply))
        if isinstance(reply, bytes | int):
            return reply
        assert isinstance(reply, list), reply
        return self._table([self._lua(each) for each in reply])

    def _reply(self, said: Any) -> Reply:  # noqa: ANN401  what a script returns
        if said is None or said is False:
            return None
        if said is True:
            return 1
        if isinstance(said, bytes):
            return said
        if isinstance(said, int | float):
            return int(said)
        assert lua_type(said) == "table", said
        if (err := said[b"err"]) is not None:
            raise Refusal(err.decode())
        if (ok := said[b"ok"]) is not None:
            return Status(ok)
        parts: list[Reply] = []
        while (part := said[len(parts) + 1]) is not None:
            parts.append(self._reply(part))
        return parts


def _said(error: LuaError) -> str:
    """What `redis.call` was refused with, or what the script itself did wrong; a traceback follows in later lines."""
    text = str(error).partition("\n")[0]
    return text if text.split(" ", 1)[0].isupper() else f"ERR {text}"


@functools.cache
def lua() -> Lua:
    return Lua()
