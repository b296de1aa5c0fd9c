"""`python -m mcp_server`: serve one user's workspace."""

from __future__ import annotations

import gc
import logging
import os
import sqlite3
import sys

from mcp_server.errors import WorkspaceError
from mcp_server.options import parse_options


def main() -> None:
    """Exit with 0 after a clean stop, 1 and the reason on standard error when it can't serve, 2 for wrong options."""
    options = parse_options(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("mcp", "uvicorn.error", "httpx2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # What is written here is one person's.
    os.umask(0o077)

    # A fifth of the start would go into looking for garbage among what the modules just made; serving switches it on.
    gc.disable()
    from mcp_server.serving import serve  # noqa: PLC0415 - a second of imports, not needed to refuse wrong options

    try:
        serve(options)
    except (WorkspaceError, OSError, sqlite3.Error) as error:
        sys.exit(f"mcp_server can't serve: {error}")


if __name__ == "__main__":
    main()
