"""What the commands that run the gateway share: they hold the database alone, and say why they don't start."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvloop
from django.core.management.base import CommandError

from gateway import alone, listening, serving

Say = Callable[[str], object]
STOPPING = "Stopping ..."


@contextmanager
def starting(*, port: int = 0) -> Iterator[None]:
    """Be the only process of the gateway where there may be one only. Raises CommandError when it can't start."""
    try:
        with alone.alone(port=port):
            yield
    except (alone.NotAlone, listening.CantListen) as error:
        raise CommandError(str(error)) from error


def serve(host: str, *, port: int, worker: bool, say: Say) -> None:
    """Serve until SIGTERM or SIGINT, with a worker inside if told so. Raises listening.CantListen."""
    socket = listening.listen(host, port)
    at = socket.getsockname()[1]
    uvloop.run(
        serving.serve(
            socket,
            worker=worker,
            on_ready=lambda: say(f"Serving on http://localhost:{at} (Ctrl-C stops)."),
            on_stop=lambda: say(STOPPING),
        )
    )
