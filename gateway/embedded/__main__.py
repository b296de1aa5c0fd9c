"""`python -m gateway.embedded` runs a Valkey until Ctrl-C and prints its REDIS_URL."""

import signal
import sys
import tempfile
from pathlib import Path

from gateway.embedded.valkey import running_valkey


def main() -> None:
    """Run a server until SIGINT or SIGTERM ends it."""
    with tempfile.TemporaryDirectory() as scratch, running_valkey(Path(scratch)) as url:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        sys.stdout.write(f"REDIS_URL={url}\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
