"""`manage.py reconcile_workspaces`: compare what runs with the table, and mend what is not as it should be."""

import asyncio
import json
from dataclasses import asdict
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from provisioning import backends
from provisioning.backends import Finding
from provisioning.errors import WorkspaceFailed


class Command(BaseCommand):
    """Exits with 1 and the reason on standard error when what runs can't be looked at."""

    help = "Compare what runs with the table, and mend what is not as it should be. The gateways do so once a minute."

    def add_arguments(self, parser: CommandParser) -> None:
        """--dry-run and --json."""
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *_args: object, **options: Any) -> None:
        """Reconcile and print each finding. Raises CommandError."""
        self.stderr.write("Looking at what runs…")
        try:
            findings = asyncio.run(_reconcile(dry_run=options["dry_run"]))
        except WorkspaceFailed as error:
            raise CommandError(f"{error} ({error.detail})") from error
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2))
            return
        for finding in findings:
            self.stdout.write(f"{finding.name}  {finding.user_id or '–'}  {finding.found}: {finding.done}")
        if not findings:
            self.stdout.write("All is as it should be.")


async def _reconcile(*, dry_run: bool) -> list[Finding]:
    backend = backends.backend()
    try:
        return await backend.reconcile(dry_run=dry_run)
    finally:
        await backend.close()
