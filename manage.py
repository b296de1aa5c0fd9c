#!/usr/bin/env python
"""Run a management command; without DATABASE_URL the embedded PostgreSQL is joined or started first."""

import io
import os
import sys

# What a shell reports for a command that Ctrl-C ended: 128 + SIGINT.
INTERRUPTED = 130


def main() -> None:
    """Run the command named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A pipe or a log file would get what is said (progress, the address to open) in blocks of 8 KiB.
        sys.stdout.reconfigure(line_buffering=True)
    import psycopg
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    from gateway.database_url import provide_database_url
    from gateway.embedded import EmbeddedServerError

    try:
        provide_database_url()
        execute_from_command_line(sys.argv)
    except EmbeddedServerError as error:
        sys.exit(f"The embedded PostgreSQL can't be used: {error}")
    except (OperationalError, psycopg.OperationalError) as error:
        sys.exit(f"The database can't be used: {error}".strip())
    except ImproperlyConfigured as error:
        sys.exit(f"The settings can't be used: {error}")
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped.\n")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
