#!/usr/bin/env python
"""Run a management command; without DATABASE_URL the embedded PostgreSQL is joined or started first."""

import io
import os
import sys


def main() -> None:
    """Run the command named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A pipe or a log file would get what is said (progress, the address to open) in blocks of 8 KiB.
        sys.stdout.reconfigure(line_buffering=True)
    from django.core.management import execute_from_command_line

    from gateway.database_url import provide_database_url
    from gateway.embedded import EmbeddedServerError

    try:
        provide_database_url()
    except EmbeddedServerError as error:
        sys.exit(f"The embedded PostgreSQL can't be used: {error}")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
