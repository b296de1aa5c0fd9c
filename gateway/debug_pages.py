"""What Django's debug pages show of the settings, and the project's own page in place of one of them."""

import re

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.debug import SafeExceptionReporterFilter
from django.views.defaults import page_not_found

from gateway.middleware import AsyncMiddleware


class SettingsFilter(SafeExceptionReporterFilter):
    """Hide URLs too: that of a database or a Redis holds its password."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|URL", flags=re.IGNORECASE)


class NotFoundMiddleware(AsyncMiddleware):
    """With DEBUG=true, too, an address where nothing is shows the project's own page, not the list of all addresses.

    It is the innermost: an address that no pattern matches raises inside it, and nothing but that leaves a request
    unresolved.
    """

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        response = await self.get_response(request)
        if settings.DEBUG and response.status_code == 404 and request.resolver_match is None:
            return await sync_to_async(page_not_found)(request, Http404())
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The same page where a view finds nothing."""
        if settings.DEBUG and isinstance(exception, Http404):
            return page_not_found(request, exception)
        return None
