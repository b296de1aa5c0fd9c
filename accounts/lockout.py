"""What a member of staff sees who has given a wrong password too often; django-axes counts."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def locked_out(request: HttpRequest, _answer: HttpResponse | None, _credentials: Any) -> HttpResponse:
    """The answer to every further attempt until the time is over, also to one with the right password."""
    wait: timedelta = settings.AXES_COOLOFF_TIME
    response = render(request, "429.html", {"minutes": int(wait.total_seconds() // 60)}, status=429)
    response["Retry-After"] = str(int(wait.total_seconds()))
    return response
