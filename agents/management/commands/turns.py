"""`manage.py turns list|dead|retry`: what waits, what was given up, try it again."""

import asyncio
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agents import dead_letters
from agents.errors import Refused


class Command(BaseCommand):
    """Show and retry turns."""

    help = "List open turns, list dead ones, or retry a dead one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One action."""
        actions = parser.add_subparsers(dest="action", required=True)
        for name, text in (("list", "turns that have not ended"), ("dead", "turns that were given up")):
            listing = actions.add_parser(name, help=text)
            listing.add_argument("--limit", type=int, default=100)
            listing.add_argument("--json", action="store_true")
        retry = actions.add_parser("retry", help="put a dead turn back into the queue")
        retry.add_argument("turn")
        retry.add_argument("--json", action="store_true")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do the action."""
        if options["action"] == "retry":
            self._retry(options["turn"], as_json=options["json"])
            return
        read = dead_letters.list_open if options["action"] == "list" else dead_letters.list_dead
        self._print(asyncio.run(read(limit=options["limit"])), as_json=options["json"])

    def _retry(self, turn: str, *, as_json: bool) -> None:
        try:
            asyncio.run(dead_letters.retry_dead(turn))
        except Refused as error:
            raise CommandError(error.message) from error
        self.stdout.write(json.dumps({"turn": turn, "state": "queued"}) if as_json else f"{turn} is queued again.")

    def _print(self, lines: list[dead_letters.TurnLine], *, as_json: bool) -> None:
        if as_json:
            rows = [
                {
                    "turn": line.turn,
                    "user_id": line.user_id,
                    "channel": line.channel,
                    "state": line.state,
                    "attempts": line.attempts,
                    "accepted_at": line.accepted_at.isoformat(),
                    "error_code": line.error_code,
                }
                for line in lines
            ]
            self.stdout.write(json.dumps(rows))
            return
        for line in lines:
            self.stdout.write(
                f"{line.turn}  {line.state:<9}  {line.attempts}x  {line.accepted_at:%Y-%m-%d %H:%M:%S}  {line.channel:<9}"
                f"  {line.user_id}  {line.error_code}"
            )
        self.stdout.write(f"{len(lines)} turns.")
