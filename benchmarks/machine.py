"""Where and on what a measurement was made."""

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gatewayz

ROOT = Path(__file__).parent.parent


def description() -> str:
    """Such as `AMD EPYC 7763, 2 cores, 24 GB, Linux 6.8, CPython 3.11.9`."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def commit() -> str:
    """The clone's commit, `unknown` outside a clone.

    `+` follows where files differ from it, or the gateway is imported from elsewhere (PYTHONPATH).
    """
    revision = _git("rev-parse", "--short=12", "HEAD")
    is_exact = ROOT in Path(gatewayz.__file__).parents and not _git("status", "--porcelain")
    return f"{revision}{'' if is_exact else '+'}" if revision else "unknown"


def cores() -> tuple[int, int]:
    """The core for the server and the one for the load; the same where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """This process, and all it starts meanwhile, run on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
