"""`/metrics` in Prometheus' text format; the series are defined by the apps that measure."""

from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


def metrics(_request: HttpRequest) -> HttpResponse:
    """All series of this process."""
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
