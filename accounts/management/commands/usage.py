"""`manage.py usage [USER]`: what one user used by day, model and channel, or what each user used in all."""

import asyncio
import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand

from accounts.usage import Amounts, UsageLine, UserTotal, first_of_month, total, usage_by_user, usage_of


class Command(BaseCommand):
    """Show usage."""

    help = "What a user used by day (UTC), model and channel; without a user, what each used, the dearest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose, since when."""
        parser.add_argument("user", nargs="?")
        parser.add_argument(
            "--since", type=_day, metavar="YYYY-MM-DD", help="the first day, UTC; the month's if left out"
        )
        parser.add_argument("--limit", type=int, default=100, help="users at the most (100)")
        parser.add_argument("--json", action="store_true")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Read and print."""
        since = options["since"] or first_of_month()
        found: Sequence[UsageLine | UserTotal]
        if options["user"]:
            found = asyncio.run(usage_of(options["user"], since=since))
        else:
            found = asyncio.run(usage_by_user(since=since, limit=max(1, options["limit"])))
        if options["json"]:
            self.stdout.write(json.dumps([line.as_json() for line in found]))
            return
        for line in found:
            self.stdout.write(f"{_name(line)}  {_amounts(line)}")
        self.stdout.write(f"Since {since}: {_amounts(total(found))}")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError("a day is written YYYY-MM-DD.") from error


def _name(line: UsageLine | UserTotal) -> str:
    if isinstance(line, UserTotal):
        return line.user_id
    return f"{line.day}  {line.model or '-':<32}  {line.channel or '-':<9}"


def _amounts(used: Amounts) -> str:
    return (
        f"{used.input_tokens:,} in ({used.cached_tokens:,} cached), {used.output_tokens:,} out, ${used.cost_usd:,.4f},"
        f" {used.turns:,} turns ({used.failed_turns:,} failed), {used.tool_calls:,} tool calls,"
        f" {used.workspace_s / 60:,.1f} workspace minutes"
    )
