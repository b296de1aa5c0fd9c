"""`manage.py serve`: the web server, with a worker inside unless told otherwise."""

import asyncio
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from gateway import env, serving


class Command(BaseCommand):
    """Serve the gateway."""

    help = "Serve the gateway on uvicorn, with a worker in the same process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to listen, and whether to work."""
        parser.add_argument("--host", default="127.0.0.1" if settings.DEBUG else "0.0.0.0")  # noqa: S104 - in a container
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--no-worker", action="store_true", help="only the web: workers run elsewhere (run_worker)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Serve until SIGTERM or SIGINT."""
        try:
            lock = serving.hold_alone()
        except serving.NotAlone as error:
            raise CommandError(str(error) or serving.NotAlone.__doc__) from error
        port = options["port"]
        try:
            listening = serving.listen(options["host"], port)
        except serving.PortTaken as error:
            raise CommandError(str(error)) from error
        if settings.DEBUG and not env.text("ALLOWED_ORIGINS"):
            settings.ALLOWED_ORIGINS = env.local_origins(port)
        try:
            asyncio.run(
                serving.serve(
                    listening,
                    worker=not options["no_worker"],
                    on_ready=lambda: self.stdout.write(
                        f"Serving on http://localhost:{port} (Ctrl-C stops).", ending="\n"
                    ),
                )
            )
        finally:
            if lock is not None:
                lock.close()
