"""`python -m mcp_server.restore`: put an archive of `export_data` into a data folder that is empty or new."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from mcp_server.archive.reading import restore_archive
from mcp_server.errors import WorkspaceError
from mcp_server.options import SMALLEST_QUOTA, TIERS
from mcp_server.storage.database import Database
from mcp_server.storage.quota import TIER_BYTES


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit with 0 and the numbers of rows as JSON, 1 and the reason when nothing was restored, 2 for wrong options."""
    parser = argparse.ArgumentParser(
        prog="python -m mcp_server.restore",
        description="Restore an export into an empty workspace whose server does not run. All of it or nothing.",
    )
    parser.add_argument("--data", type=Path, required=True, help="the user's data folder, made when missing")
    parser.add_argument("--user", required=True, help="id of the user, who must be the archive's")
    parser.add_argument("--tier", choices=TIERS, default="free", help="licence tier, for the quota (default free)")
    parser.add_argument("--quota-bytes", type=int, help=f"instead of the tier's, {SMALLEST_QUOTA} or more")
    parser.add_argument("archive", type=Path, help="the zip file")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    quota = options.quota_bytes or TIER_BYTES[options.tier]
    try:
        with (
            options.archive.open("rb") as archive,
            closing(Database(options.data, user=options.user, quota_bytes=quota)) as database,
        ):
            rows = restore_archive(database, archive)
    except (WorkspaceError, OSError, sqlite3.Error) as error:
        sys.exit(f"mcp_server.restore can't restore: {error}")
    sys.stdout.write(json.dumps({"restored": rows}) + "\n")


if __name__ == "__main__":
    main()
