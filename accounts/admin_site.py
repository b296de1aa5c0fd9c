"""The admin's site: unfold's, less a search that nothing links to, and with staff's own passwords in the audit."""

from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin import sites
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from typing_extensions import override
from unfold.sites import UnfoldAdminSite


class GatewayAdminSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold has no types
    """Staff's pages."""

    index_title = "Dashboard"

    @override
    def search(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The menu lists every page."""
        raise Http404

    @override
    def logout(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Ends the browser's whole session, the chat's with it."""
        from accounts.sessions import end_sockets  # noqa: PLC0415 - models can't be imported before the apps are ready

        if request.method == "POST":
            end_sockets(request)
        response: HttpResponse = super().logout(request, extra_context)
        return response

    @override
    def password_change(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """A member of staff sets their own password."""
        from accounts import audit  # noqa: PLC0415 - models can't be imported before the apps are ready

        with transaction.atomic():
            response: HttpResponse = super().password_change(request, extra_context)
            if request.method == "POST" and response.status_code == 302:
                actor = audit.staff(request.user.get_username())
                audit.record(
                    audit.Event(actor=actor, action="staff.changed", object=actor, details={"password": "set"})
                )
        return response


class UnfoldConfig(AppConfig):
    """The app unfold with our site; the place of unfold's own configuration, which sets its own."""

    name = "unfold"

    @override
    def ready(self) -> None:
        """Before Django's admin looks for what the apps register."""
        admin.site = sites.site = GatewayAdminSite()
