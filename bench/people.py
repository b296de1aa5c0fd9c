"""Prepare a measurement's database: migrate, license users, and print a token for each, one a line.

    python -m bench.people --users 64 --mcp-server-url http://127.0.0.1:9901/mcp

DATABASE_URL, DATA_DIR and the settings are the gateway's own, from the environment.
"""

import argparse
import os
from typing import Literal

TIER: Literal["free", "pro", "enterprise"] = "enterprise"


def main() -> None:
    """License and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--mcp-server-url", required=True)
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "gateway.settings"
    from gateway.database_url import provide_database_url  # noqa: PLC0415 - the settings read the environment

    provide_database_url()
    import django  # noqa: PLC0415

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    for number in range(options.users):
        print(_token(f"bench-{number}", options.mcp_server_url))


def _token(user: str, mcp_server_url: str) -> str:
    from accounts.issuer import issue_token  # noqa: PLC0415 - after django.setup()
    from accounts.licences import LicenceChange, set_licence  # noqa: PLC0415

    set_licence(user, LicenceChange(tier=TIER, mcp_server_url=mcp_server_url))
    return issue_token(user)


if __name__ == "__main__":
    main()
