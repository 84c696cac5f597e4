"""`/metrics` of a real `gatewayz serve` with several workers: the same whoever is asked, and what a worker had counted
that was killed or frozen is not lost.
"""

import json
import re
import signal
import time
from collections.abc import Callable
from urllib.request import Request, urlopen

import psutil
import pytest
from tests.support.patience import PATIENCE
from tests.support.scraped import Scraped
from tests.support.served import Served, served
from tests.support.servers import short_directory

pytestmark = pytest.mark.slow

KEY = re.compile(r"API key\s+(gw_live_\S+)")
WORKERS = 3
CHATS = 30


def scraped(gateway: Served) -> Scraped:
    """Over a connection of its own: by one of the workers, whichever it is."""
    with urlopen(f"{gateway.url}/metrics", timeout=30) as answer:
        return Scraped(answer.read().decode())


def until(gateway: Served, holds: Callable[[Scraped], bool]) -> Scraped:
    deadline = time.monotonic() + PATIENCE
    while not holds(found := scraped(gateway)):
        assert time.monotonic() < deadline, found.samples
    return found


def chat(gateway: Served, key: str, question: int) -> None:
    body = {"model": "demo/echo", "messages": [{"role": "user", "content": f"question {question}"}]}
    request = Request(
        f"{gateway.url}/v1/chat/completions", json.dumps(body).encode(), {"Authorization": f"Bearer {key}"}
    )
    with urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def workers_of(gateway: Served) -> list[psutil.Process]:
    """Those that hold the listening socket: the supervisor's other children are helpers of Python's."""
    children = psutil.Process(gateway.process.pid).children()
    return [each for each in children if "spawn_main" in " ".join(each.cmdline())]


def answering(found: Scraped) -> float:
    return found['gatewayz_workers{state="answering"}']


def test_every_worker_tells_the_same_and_nothing_counted_is_lost_with_one() -> None:
    with short_directory() as directory, served(directory / "data", workers=str(WORKERS)) as gateway:
        key = gateway.until_printed(KEY)
        until(gateway, lambda found: answering(found) == WORKERS)
        for number in range(CHATS):
            chat(gateway, key, number)
        admitted = 'gatewayz_admissions_total{outcome="admitted"}'
        tellers = [scraped(gateway) for _ in range(4 * WORKERS)]
        assert {each[admitted] for each in tellers} == {CHATS}
        assert tellers[0].sum("process_resident_memory_bytes") > WORKERS * 1e7
        counted = tellers[-1]

        killed = workers_of(gateway)[0]
        killed.kill()
        after = until(gateway, lambda found: answering(found) == WORKERS and killed.pid not in _pids(gateway))
        _assert_not_less(after, counted)
        assert after[admitted] == CHATS
        assert sorted(_workers_told(after)) == [str(number) for number in range(WORKERS)]

        frozen = workers_of(gateway)[0]
        frozen.send_signal(signal.SIGSTOP)
        try:
            silent = until(gateway, lambda found: found['gatewayz_workers{state="silent"}'] == 1)
        finally:
            frozen.send_signal(signal.SIGCONT)
        assert answering(silent) == WORKERS - 1
        assert silent[admitted] == CHATS
        _assert_not_less(silent, after)
    assert not list((directory / "data").glob("gatewayz-workers-*"))


def _pids(gateway: Served) -> set[int]:
    return {each.pid for each in workers_of(gateway)}


def _assert_not_less(later: Scraped, earlier: Scraped) -> None:
    assert len(earlier.growing) > 100
    assert [series for series in earlier.growing if later.samples.get(series, 0) < earlier[series]] == []


def _workers_told(found: Scraped) -> list[str]:
    return re.findall(r'process_open_fds\{worker="(\d+)"\}', "\n".join(found.samples))
