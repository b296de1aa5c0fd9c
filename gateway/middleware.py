"""Middleware for every HTTP answer: its request id, what a page may load, which sites' pages may call the API."""

from collections.abc import Awaitable, Callable

import structlog
from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.middleware import common
from django.utils.cache import patch_vary_headers

from gateway.ids import new_id

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponse]]

# The pages load their own files only; sockets go to the page's own host. Their scripts build nodes and never markup: under
# Trusted Types no sink takes a string, and with no policy by any name nothing can make it one that it takes.
PAGE_POLICY = "; ".join(
    [
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
# django-unfold's pages hold inline scripts and evaluate Alpine expressions.
ADMIN_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

PROBES = frozenset({"/health", "/health/live", "/metrics"})

# What a page of ALLOWED_ORIGINS may do under API_PATH, as the Fetch standard's preflight has it.
API_PATH = "/api/"
CROSS_ORIGIN = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID, X-CSRFToken",
    "Access-Control-Expose-Headers": "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy",
    "Access-Control-Max-Age": "600",
}
# The one answer whose cookie a page of another host must be let keep; everywhere else such a page shows a token.
WITH_COOKIES = "/api/v1/session"


class AsyncMiddleware:
    """A middleware whose `__call__` is a coroutine."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)  # type: ignore[type-var]  # the stubs know functions only


class RequestIdMiddleware(AsyncMiddleware):
    """Name each request in its logs and in the answer's X-Request-Id."""

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = new_id()
        request.META["REQUEST_ID"] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = await self.get_response(request)
        response["X-Request-Id"] = request_id
        return response


class ContentSecurityPolicyMiddleware(AsyncMiddleware):
    """Say what a page may load, unless the view said so itself."""

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        response = await self.get_response(request)
        admin = request.path.startswith("/admin/") or (settings.DEBUG and response.status_code >= 400)
        response.headers.setdefault("Content-Security-Policy", ADMIN_POLICY if admin else PAGE_POLICY)
        return response


class CommonMiddleware(common.CommonMiddleware):
    """Django's own, which asks for a Host of ALLOWED_HOSTS; a kubelet and Prometheus ask by a pod's address."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """Refuse another host, but to those who look after the process: what they are answered names none."""
        return None if request.path in PROBES else super().process_request(request)


class CrossOriginMiddleware(AsyncMiddleware):
    """Let pages of ALLOWED_ORIGINS call the API; a browser keeps its answers from everybody else's."""

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(API_PATH):
            return await self.get_response(request)
        preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        response = HttpResponse(status=204) if preflight else await self.get_response(request)
        patch_vary_headers(response, ["Origin"])
        origin = request.headers.get("Origin", "")
        if origin in settings.ALLOWED_ORIGINS:
            for name, value in (CROSS_ORIGIN | {"Access-Control-Allow-Origin": origin}).items():
                response.headers[name] = value
            if request.path == WITH_COOKIES:
                response.headers["Access-Control-Allow-Credentials"] = "true"
        return response
