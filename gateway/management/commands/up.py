"""`manage.py up`: everything a newcomer's first run needs, in one process (used by `make run`)."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts.demo import make_demo_users
from gateway import listening
from gateway.management.serving import serve, starting

HOST = "127.0.0.1"


class Command(BaseCommand):
    """Migrate, make the demo users, serve."""

    help = "Migrate the database, make the demo users, and serve; for a laptop (DEBUG only)."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Bring the gateway up until Ctrl-C."""
        if not settings.DEBUG:
            raise CommandError("`up` makes demo users, so it runs with DEBUG=true only. Use migrate and serve.")
        with starting(port=settings.PORT):
            self._prepare()
            serve(HOST, port=settings.PORT, worker=True, say=self.stdout.write)

    def _prepare(self) -> None:
        # Before anything is said of an address at which another program would answer.
        listening.listen(HOST, settings.PORT).close()
        self.stdout.write("Preparing the database ...")
        call_command("migrate", verbosity=0)
        report = make_demo_users()
        self.stdout.write(
            f"\n  Chat:   http://localhost:{settings.PORT}/   sign in as demo-pro, demo-free, ... (one click)"
        )
        self.stdout.write(
            f"  Admin:  http://localhost:{settings.PORT}/admin/   user admin, {_password(report.admin_password)}\n"
        )


def _password(made: str | None) -> str:
    return (
        f"password {made}"
        if made
        else "password as printed at the first run (manage.py changepassword admin sets another)"
    )
