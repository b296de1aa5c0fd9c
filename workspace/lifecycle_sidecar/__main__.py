"""`python -m lifecycle_sidecar`: stop a workspace in time, as its server's parent or in its pod."""

from __future__ import annotations

import contextlib
import logging
import os
import sys

from lifecycle_sidecar.options import Options, parse_options

# What a shell answers when a command can't be run.
CANNOT_RUN = 127


def main() -> int:
    """Exit with the server's status when it ended by itself, 0 when stopped, 1 outside of a pod, 127 without a server."""
    options = parse_options(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return _be_parent(options) if options.command else _attend(options)


def _be_parent(options: Options) -> int:
    from lifecycle_sidecar.supervision import supervise  # noqa: PLC0415 - each way of working without the other's memory

    # A session of its own, so that Ctrl-C in the owner's terminal doesn't reach the workspace; a process that leads its
    # group already (started from an interactive shell) can't have one and doesn't need it.
    with contextlib.suppress(PermissionError):
        os.setsid()
    try:
        return supervise(options)
    except OSError as error:
        sys.stderr.write(f"lifecycle_sidecar can't run {options.command[0]}: {error.strerror}\n")
        return CANNOT_RUN


def _attend(options: Options) -> int:
    from lifecycle_sidecar.attendance import attend  # noqa: PLC0415 - see above
    from lifecycle_sidecar.cluster import ClusterFailed, own_deployment  # noqa: PLC0415 - see above

    try:
        deployment = own_deployment(options)
    except ClusterFailed as error:
        sys.stderr.write(f"lifecycle_sidecar can't watch {options.deployment}: {error}\n")
        return 1
    return attend(options, deployment)


if __name__ == "__main__":
    sys.exit(main())
