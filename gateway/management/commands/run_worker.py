"""`manage.py run_worker`: the background services without a web server."""

from typing import Any

import uvloop
from django.core.management.base import BaseCommand

from gateway import serving
from gateway.management.serving import STOPPING, starting


class Command(BaseCommand):
    """Run turns, deliveries and workspace upkeep."""

    help = "Run turns, deliveries and workspace upkeep; any number of workers share the work."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Work until SIGTERM or SIGINT."""
        with starting():
            uvloop.run(serving.run_alone(on_stop=lambda: self.stdout.write(STOPPING)))
