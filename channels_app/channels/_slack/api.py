"""Call Slack's Web API, and say what its errors mean for a message. Source: docs.slack.dev, the methods' lists of errors."""

import json
from typing import Any
from urllib.parse import urlencode

from channels_app.channels._http import Http, cause, own_address
from channels_app.channels._settings import setting
from channels_app.errors import ChatClosed, DeliveryError, NotEditable

TOKEN, BASE_URL = "SLACK_BOT_TOKEN", "SLACK_API_BASE_URL"
DEFAULT_BASE_URL = "https://slack.com/api"
FILES_HOSTS = ("files.slack.com",)
# A 429 that names no wait; Slack's page on rate limits promises the header.
DEFAULT_WAIT_S = 5.0
# The chat takes nothing from us.
_CLOSED = frozenset(
    {"channel_not_found", "is_archived", "not_in_channel", "user_not_found", "user_disabled", "user_is_restricted",
     "cannot_dm_bot", "restricted_action", "access_denied", "messages_tab_disabled", "team_access_not_granted"}
)  # fmt: skip
# The operator can put that right before the message is too old.
_TOKEN = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope", "org_login_required",
     "ekm_access_denied", "no_permission", "two_factor_setup_required", "accesslimited"}
)  # fmt: skip
_NOT_EDITABLE = frozenset(
    {"message_not_found", "cant_update_message", "edit_window_closed", "message_not_owned_by_app", "streaming_state_conflict",
     "message_not_in_streaming_state"}
)  # fmt: skip
_LATER = frozenset({"service_unavailable", "team_added_to_org"})
_RATE = frozenset({"ratelimited", "rate_limited"})
# "It's possible some aspect of the operation succeeded before the error was raised."
_PERHAPS_DONE = frozenset({"fatal_error", "internal_error", "request_timeout", "messaging_processing_failed"})

HTTP = Http()


class SlackRefused(DeliveryError):
    """Slack knows the method, or not, and does not do this; `code` is its own word for it."""

    def __init__(self, code: str) -> None:
        super().__init__(cause("refused", code), permanent=True)
        self.code = code


class NoScope(DeliveryError):
    """The app was installed without a scope that the method needs; the operator can put that right."""


async def call(method: str, **arguments: Any) -> dict[str, Any]:
    """Call a method; its answer. Raises DeliveryError, and of it ChatClosed, NotEditable, NoScope and SlackRefused."""
    return await _call(method, json.dumps(arguments).encode(), kind="application/json; charset=utf-8")


async def call_form(method: str, **fields: str) -> dict[str, Any]:
    """The same with a form: methods for files took no JSON for years (api.slack.com, "Content types")."""
    return await _call(method, urlencode(fields).encode(), kind="application/x-www-form-urlencoded")


async def _call(method: str, content: bytes, *, kind: str) -> dict[str, Any]:
    answer = await HTTP.request(
        "POST",
        f"{setting(BASE_URL, DEFAULT_BASE_URL).rstrip('/')}/{method}",
        headers={"authorization": f"Bearer {setting(TOKEN)}", "content-type": kind},
        content=content,
    )
    if answer.status == 429:
        raise DeliveryError("too_many_requests", retry_after_s=answer.retry_after_s() or DEFAULT_WAIT_S)
    body = answer.json()
    if answer.status == 503 and not isinstance(body, dict):
        # RFC 9110: "currently unable to handle the request"; Slack's own word for it is service_unavailable.
        raise DeliveryError("platform_failed: 503", retry_after_s=answer.retry_after_s())
    if not isinstance(body, dict) or not isinstance(body.get("ok"), bool):
        raise DeliveryError(f"odd_answer ({answer.status})", ambiguous=True)
    if not body["ok"]:
        raise _translated(str(body.get("error") or "unknown"))
    return body


async def fetch(url: str, *, most_bytes: int) -> bytes:
    """A file of Slack's. The token goes to Slack alone, whatever the address says. Raises DeliveryError."""
    answer = await HTTP.fetch(
        own_address(url, FILES_HOSTS, base=setting(BASE_URL)),
        headers={"authorization": f"Bearer {setting(TOKEN)}"},
        most_bytes=most_bytes,
    )
    if answer.headers.get("content-type", "").startswith("text/html"):
        # Slack's page for signing in: the app lacks the scope files:read.
        raise DeliveryError("token_refused (files:read)")
    return answer.body


def _translated(code: str) -> DeliveryError:
    if code in _RATE:
        return DeliveryError("too_many_requests", retry_after_s=DEFAULT_WAIT_S)
    if code in _CLOSED:
        return ChatClosed(cause("forbidden", code))
    if code in _NOT_EDITABLE:
        return NotEditable(cause("refused", code))
    if code in _TOKEN or code in _LATER:
        kind = NoScope if code == "missing_scope" else DeliveryError
        return kind(cause("token_refused" if code in _TOKEN else "platform_failed", code))
    if code in _PERHAPS_DONE:
        return DeliveryError(cause("platform_failed", code), ambiguous=True)
    return SlackRefused(code)
