"""`manage.py unlink_channel CHANNEL ID`: an account speaks for nobody any more."""

import json
from argparse import ArgumentParser
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError

from accounts.links import unlink_channel


class Command(BaseCommand):
    """Unlink an account."""

    help = "Remove the link of an account of another platform."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which."""
        parser.add_argument("channel")
        parser.add_argument("id")
        parser.add_argument("--json", action="store_true")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Unlink and say so."""
        if not async_to_sync(unlink_channel)(channel_type=options["channel"], channel_user_id=options["id"]):
            raise CommandError("That account is not linked.")
        answer = {"channel": options["channel"], "id": options["id"], "removed": True}
        self.stdout.write(json.dumps(answer) if options["json"] else "Unlinked.")
