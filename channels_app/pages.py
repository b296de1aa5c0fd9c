"""The pages of the gateway."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.i18n import set_language

from accounts import languages
from accounts.licences import NotLicensed, active_licence
from accounts.sessions import identity_of
from accounts.usage import usage_of
from accounts.usage_report import standing_of
from channels_app.api.links import links_json
from channels_app.api.schedules import schedules_json
from channels_app.channels import channels
from channels_app.licence_facts import facts_of
from channels_app.linking import channels_to_link
from channels_app.usage_page import UsageShown, days_until, period_of, usage_shown
from gateway.languages import supported

SIGN_IN = "/signin/"


@never_cache
@require_safe
def chat_page(request: HttpRequest) -> HttpResponse:
    """The chat for a signed-in user; anybody else is sent to sign in. Without a licence the socket says why not."""
    identity = identity_of(request)
    if identity is None:
        return _to_sign_in(request)
    tier = _tier(identity.user_id)
    config = {
        "wsPath": "/ws/chat",
        "ticketUrl": "/api/v1/ws-ticket",
        "userId": identity.user_id,
        "tier": tier,
        "channels": {each.name: each.label for each in channels().values()},
        "languageChosen": settings.LANGUAGE_COOKIE_NAME in request.COOKIES,
    }
    return render(request, "chat.html", {"user_id": identity.user_id, "tier": tier, "config": config})


@never_cache
@require_safe
def account_page(request: HttpRequest) -> HttpResponse:
    """The signed-in user's chat apps, usage (of the last `?days=`) and licence; anybody else is sent to sign in."""
    identity = identity_of(request)
    if identity is None:
        return _to_sign_in(request)
    period = period_of(request.GET.get("days", ""))
    return render(request, "account.html", async_to_sync(account_context)(identity.user_id, period=period))


def choose_language(request: HttpRequest) -> HttpResponseBase:
    """Django's own view, whose cookie is this browser's; whoever is signed in is spoken to so in chat apps, too."""
    response = set_language(request)
    identity = identity_of(request)
    language = supported(request.POST.get("language"))
    if request.method == "POST" and identity is not None and language:
        async_to_sync(languages.choose_language)(identity.user_id, language)
    return response


async def account_context(user_id: str, *, period: int) -> dict[str, Any]:
    """What the account page shows of a user; `period` is the days of usage."""
    labels = {"web": _("Web")} | {each.name: each.label for each in channels().values()}
    offered = {channel.name: channel.label for channel in channels_to_link()}
    config = {
        "linksUrl": "/api/v1/links",
        "now": timezone.now(),
        "channels": {name: label for name, label in labels.items() if name != "web"},
        **await links_json(user_id),
        "schedulesUrl": "/api/v1/schedules",
        "schedules": await schedules_json(user_id),
    }
    context = {
        "user_id": user_id,
        "config": config,
        "channels": [{"name": name, "label": label} for name, label in offered.items()],
        "usage": await _usage(user_id, period=period, labels=labels),
    }
    try:
        licence = await active_licence(user_id)
    except NotLicensed as error:
        return context | {"tier": "", "problem": _(str(error))}
    facts = facts_of(licence, labels=labels)
    return context | {"tier": licence.tier, "expires_at": licence.expires_at, "facts": facts}


async def _usage(user_id: str, *, period: int, labels: dict[str, str]) -> UsageShown:
    days = days_until(datetime.now(UTC).date(), count=period)
    standing, lines = await asyncio.gather(standing_of(user_id), usage_of(user_id, since=days[0], until=days[-1]))
    return usage_shown(lines, standing, days=days, labels=labels)


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(f"{SIGN_IN}?{urlencode({'next': request.get_full_path()})}")


def _tier(user_id: str) -> str:
    try:
        return async_to_sync(active_licence)(user_id).tier
    except NotLicensed:
        return ""
