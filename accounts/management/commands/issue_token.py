"""`manage.py issue_token USER`: a token of the development issuer."""

import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.issuer import DEFAULT_TTL, IssuerOff, issue_token
from accounts.tokens import is_user_id


class Command(BaseCommand):
    """Print a JWT."""

    help = "Print a JWT of the development issuer for a user, and nothing else."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """For whom, and for how long."""
        parser.add_argument("user")
        parser.add_argument(
            "--ttl", type=int, default=int(DEFAULT_TTL.total_seconds()), help="seconds (default: 12 hours)"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Sign and print."""
        if not is_user_id(options["user"]):
            raise CommandError("A user id has 1 to 255 printable characters.")
        try:
            # What timedelta can't hold is far over the longest life.
            token = issue_token(options["user"], ttl=timedelta(seconds=min(options["ttl"], 10**9)))
        except (IssuerOff, ValueError, OverflowError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps({"user_id": options["user"], "token": token}) if options["json"] else token)
