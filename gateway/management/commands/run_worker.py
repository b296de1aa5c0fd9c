"""`manage.py run_worker`: the background services without a web server."""

from argparse import ArgumentParser
from typing import Any

import uvloop
from django.core.management.base import BaseCommand

from gateway import metrics, serving
from gateway.management.serving import STOPPING, starting


class Command(BaseCommand):
    """Run turns, deliveries and workspace upkeep."""

    help = "Run turns, deliveries and workspace upkeep; any number of workers share the work."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where its figures can be read."""
        parser.add_argument("--metrics-port", type=int, default=0, help="serve /metrics on this port; 0 = nowhere")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Work until SIGTERM or SIGINT."""
        with starting(), metrics.served(options["metrics_port"]):
            uvloop.run(serving.run_alone(on_stop=lambda: self.stdout.write(STOPPING)))
