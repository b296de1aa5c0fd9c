"""`manage.py run_worker`: the background services without a web server."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway import serving


class Command(BaseCommand):
    """Run turns, deliveries and workspace upkeep."""

    help = "Run turns, deliveries and workspace upkeep; any number of workers share the work."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Work until SIGTERM or SIGINT."""
        try:
            lock = serving.hold_alone()
        except serving.NotAlone as error:
            raise CommandError(str(error) or serving.NotAlone.__doc__) from error
        try:
            asyncio.run(serving.run_alone())
        finally:
            if lock is not None:
                lock.close()
