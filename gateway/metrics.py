"""`/metrics` in Prometheus' text format; the series are defined by the apps that measure."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest, start_http_server

from gateway.listening import refusal

# In a pod, Prometheus asks from outside.
EVERYWHERE = "0.0.0.0"  # noqa: S104


def metrics(_request: HttpRequest) -> HttpResponse:
    """All series of this process."""
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


@contextmanager
def served(port: int) -> Iterator[None]:
    """Answer on a port of their own, for a process that serves nothing else; 0 = nowhere. Raises CantListen."""
    if not port:
        yield
        return
    try:
        server, thread = start_http_server(port, addr=EVERYWHERE)
    except (OSError, OverflowError) as error:
        raise refusal(error, EVERYWHERE, port=port) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
