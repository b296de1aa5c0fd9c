"""`manage.py set_licence USER`: make or change a licence; what is not named is kept."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.licence_rules import LicenceInvalid
from accounts.licences import LicenceChange, set_licence
from accounts.tiers import FEATURES

LISTS = ("channels", "models", "workflows")


class Command(BaseCommand):
    """Set a licence."""

    help = "Make or change a user's licence; what is not named is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to set."""
        parser.add_argument("user")
        parser.add_argument("--tier", choices=list(FEATURES))
        parser.add_argument("--email")
        parser.add_argument("--expires", help="ISO 8601 date and time (UTC unless it says), or `never`")
        parser.add_argument(
            "--feature", action="append", default=[], metavar="KEY=JSON", help="e.g. models=small,large or deploy=false"
        )
        parser.add_argument(
            "--limit", action="append", default=[], metavar="KEY=JSON", help="e.g. turns_at_once=2, or null"
        )
        parser.add_argument("--mcp-server-url")
        parser.add_argument("--json", action="store_true")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Set and show the licence, its own settings and not its tier's."""
        change = LicenceChange(
            tier=options["tier"],
            email=options["email"],
            expires_at=_moment(options["expires"]),
            never_expires=options["expires"] == "never",
            features={key: _listed(key, value) for key, value in _pairs(options["feature"]).items()},
            limits=_pairs(options["limit"]),
            mcp_server_url=options["mcp_server_url"],
        )
        try:
            row = set_licence(options["user"], change)
        except LicenceInvalid as error:
            raise CommandError(str(error)) from error
        expires = row.expires_at.isoformat() if row.expires_at else None
        if options["json"]:
            fields = ("user_id", "email", "license_type", "features", "resource_limits", "mcp_server_url")
            self.stdout.write(json.dumps({name: getattr(row, name) for name in fields} | {"expires_at": expires}))
        else:
            self.stdout.write(f"{row.user_id}: {row.license_type}, expires {expires or 'never'}")


def _moment(text: str | None) -> datetime | None:
    if text is None or text == "never":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError("--expires takes an ISO 8601 date, or never.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _pairs(items: list[str]) -> dict[str, Any]:
    """`key=value` pairs; a value that is no JSON is taken as text, so that memory=2Gi needs no quotes."""
    pairs: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not key or not equals:
            raise CommandError(f"{item!r} is no KEY=VALUE.")
        try:
            pairs[key] = json.loads(value)
        except ValueError:
            pairs[key] = value
    return pairs


def _listed(key: str, value: Any) -> Any:
    """A feature that is a list may be given as words with commas between them."""
    return [word.strip() for word in value.split(",")] if isinstance(value, str) and key in LISTS else value
