"""A process of its own that uses embedded servers until its standard input ends.

    python -m tests.support.embedded_user DATA_DIR

Prints one line when it has them: the database URL, the Redis URL and what it started.
"""

import sys
from pathlib import Path

from gatewayz.embedded.servers import embedded_servers

if __name__ == "__main__":
    with embedded_servers(Path(sys.argv[1]), postgres=True, redis=True) as servers:
        sys.stdout.write(f"{servers.database_url} {servers.redis_url} {','.join(servers.started) or 'nothing'}\n")
        sys.stdout.flush()
        sys.stdin.read()
