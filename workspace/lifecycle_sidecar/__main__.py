"""`python -m lifecycle_sidecar`: run a workspace's server and stop it in time."""

from __future__ import annotations

import contextlib
import logging
import os
import sys

from lifecycle_sidecar.options import parse_options
from lifecycle_sidecar.supervision import supervise

# What a shell answers when a command can't be run.
CANNOT_RUN = 127


def main() -> int:
    """Exit with the server's status when it ended by itself, 0 when it was stopped, 127 when it can't be run."""
    options = parse_options(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # A session of its own, so that Ctrl-C in the owner's terminal doesn't reach the workspace; a process that leads its
    # group already (started from an interactive shell) can't have one and doesn't need it.
    with contextlib.suppress(PermissionError):
        os.setsid()
    try:
        return supervise(options)
    except OSError as error:
        sys.stderr.write(f"lifecycle_sidecar can't run {options.command[0]}: {error.strerror}\n")
        return CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main())
