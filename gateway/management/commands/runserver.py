"""Django's development server, on Daphne.

Daphne's own app would import Twisted into every process of the gateway, which costs each 0.4 s of processor time.
"""

from argparse import ArgumentParser

from daphne.management.commands.runserver import Command as DaphneCommand


class Command(DaphneCommand):  # type: ignore[misc]  # Daphne has no types
    """`manage.py runserver`; static files come from the gateway's own middleware."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Let no other handler take the static files."""
        super().add_arguments(parser)
        parser.set_defaults(use_static_handler=False)
