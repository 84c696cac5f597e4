"""Made-up keys, one request after the other at a steady rate: python -m benchmarks.load.flood PORT FORM COUNT RATE

FORM has one `{}` for the number of the key. Prints how many were answered by each status, and the seconds it took.
"""

import json
import socket
import sys
import time
from collections import Counter

_SILENCE = 20.0


def flood(port: int, form: str, count: int, rate: float) -> tuple[Counter[int], float]:
    """Each request is sent when its time has come and the one before is answered."""
    statuses: Counter[int] = Counter()
    with socket.create_connection(("127.0.0.1", port), timeout=_SILENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        for number in range(count):
            time.sleep(max(0.0, began + number / rate - time.perf_counter()))
            key = form.format(f"{number:049}")
            connection.sendall(
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
                "content-length: 2\r\n\r\n{}".encode()
            )
            statuses[int(_answer(connection)[9:12])] += 1
        return statuses, time.perf_counter() - began


def _answer(connection: socket.socket) -> bytes:
    """The head; the body is read and thrown away."""
    found = b""
    while True:
        found += connection.recv(65536)
        head, end, body = found.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return head


if __name__ == "__main__":
    found, seconds = flood(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    print(json.dumps({"statuses": found, "seconds": seconds}))
