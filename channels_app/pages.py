"""The pages of the gateway."""

from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.licences import NotLicensed, active_licence
from accounts.sessions import identity_of

SIGN_IN = "/signin/"


@never_cache
@require_safe
def chat_page(request: HttpRequest) -> HttpResponse:
    """The chat for a signed-in user; anybody else is sent to sign in. Without a licence the socket says why not."""
    identity = identity_of(request)
    if identity is None:
        return HttpResponseRedirect(f"{SIGN_IN}?{urlencode({'next': request.get_full_path()})}")
    tier = _tier(identity.user_id)
    config = {"wsPath": "/ws/chat", "ticketUrl": "/api/v1/ws-ticket", "userId": identity.user_id, "tier": tier}
    return render(request, "chat.html", {"user_id": identity.user_id, "tier": tier, "config": config})


def _tier(user_id: str) -> str:
    try:
        return async_to_sync(active_licence)(user_id).tier
    except NotLicensed:
        return ""
