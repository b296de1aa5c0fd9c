"""Who the user is: tickets, the browser session, licence, models."""

from datetime import timedelta
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import BearerAuthentication
from accounts.licences import Licence, NotLicensed, active_licence
from accounts.sessions import sign_in, sign_out
from accounts.tickets import TICKET_S, issue_ticket
from agents.offers import model_now, offer
from channels_app.api import shapes
from channels_app.api.base import ApiView, identity_of, user_of
from channels_app.api.openapi import described
from channels_app.api.serializers import model_json


class TicketView(ApiView):
    """A one-use ticket for a WebSocket of a browser, which can't send a header; 30 s."""

    @described("make_ticket", {201: shapes.Ticket})
    def post(self, request: Request) -> Response:
        """201 {ticket, expires_at}; the ticket is good for the Origin that asked for it."""
        ticket = async_to_sync(issue_ticket)(identity_of(request), origin=_origin(request))
        return Response({"ticket": ticket, "expires_at": timezone.now() + timedelta(seconds=TICKET_S)}, status=201)


class SessionView(ApiView):
    """The browser session of a page: an embedding site exchanges its user's token for it."""

    def get_authenticators(self) -> list[Any]:
        """A session is opened with a token only: a session must not prolong itself."""
        return [BearerAuthentication()] if self.request.method == "POST" else super().get_authenticators()

    @described("begin_session", {201: shapes.Session})
    def post(self, request: Request) -> Response:
        """201 {user_id, expires_at} and the session's cookie."""
        identity = identity_of(request)
        _origin(request)
        sign_in(_django(request), identity)
        return Response({"user_id": identity.user_id, "expires_at": identity.expires_at}, status=201)

    @described("end_session", {204: None})
    def delete(self, request: Request) -> Response:
        """204; the cookie opens nothing any more."""
        sign_out(_django(request))
        return Response(status=204)


class MeView(ApiView):
    """The user and their licence."""

    @described("get_me", {200: shapes.Me})
    def get(self, request: Request) -> Response:
        """200 {user_id, licence, problem}: one of licence and problem is null."""
        user_id = user_of(request)
        try:
            licence = async_to_sync(active_licence)(user_id)
        except NotLicensed as error:
            problem = {"code": error.code, "message": str(error)}
            return Response({"user_id": user_id, "licence": None, "problem": problem})
        return Response({"user_id": user_id, "licence": _licence_json(licence), "problem": None})


class ModelsView(ApiView):
    """The models that the licence allows."""

    @described("list_models", {200: shapes.Models})
    def get(self, request: Request) -> Response:
        """200 {models, default}: the default answers where neither somebody nor what is asked decides (null = none)."""
        licence = async_to_sync(active_licence)(user_of(request))
        listed = [model_json(model) for model in offer(licence).models()]
        return Response({"models": listed, "default": model_now(licence) or None})


def _licence_json(licence: Licence) -> dict[str, Any]:
    return {
        "tier": licence.tier,
        "expires_at": licence.expires_at,
        "features": licence.features.model_dump(mode="json"),
        "limits": licence.limits.model_dump(mode="json"),
    }


def _origin(request: Request) -> str:
    """The page's origin, "" for a program. Raises PermissionDenied for one that is not in ALLOWED_ORIGINS."""
    origin = request.headers.get("Origin", "")
    if origin and origin not in settings.ALLOWED_ORIGINS:
        raise PermissionDenied("Pages of this origin may not connect.")
    return origin


def _django(request: Request) -> HttpRequest:
    inner: HttpRequest = request._request
    return inner
