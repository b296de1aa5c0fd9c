"""`manage.py link_channel USER CHANNEL ID`: an account of another platform speaks for a user."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.links import LinkRefused
from channels_app.linking import link_account


class Command(BaseCommand):
    """Link an account."""

    help = "Let an account of another platform speak for a user; again is no error."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Who, where."""
        parser.add_argument("user")
        parser.add_argument("channel", help="such as telegram")
        parser.add_argument("id", help="the account's id there; for Slack team:user")
        parser.add_argument("--json", action="store_true")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Link and say so."""
        user, channel, account = options["user"], options["channel"], options["id"]
        try:
            made = link_account(user_id=user, channel=channel, account=account)
        except LinkRefused as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps({"user_id": user, "channel": channel, "id": account, "made": made}))
        else:
            self.stdout.write(f"{channel}:{account} speaks for {user}." if made else "Linked already.")
