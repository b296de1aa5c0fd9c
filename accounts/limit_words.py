"""What a person is told at a limit: what was reached, when it resets, how to get more. Pure."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.errors import Window
from accounts.licences import Licence
from accounts.tiers import FEATURES, tier_limits

LimitName = Literal["messages_per_minute", "messages_per_day", "tokens_per_month", "cost_usd_per_month"]

_UNITS: dict[LimitName, str] = {
    "messages_per_minute": "messages a minute",
    "messages_per_day": "messages a day",
    "tokens_per_month": "tokens a month",
    "cost_usd_per_month": "of model costs a month",
}
# Below it a wait is told in seconds, above it as a time of day.
_SECONDS_TOLD = 120


def messages_reached(window: Window, licence: Licence, *, now: datetime) -> str:
    """The sentences for a full window of messages."""
    limit: LimitName = "messages_per_minute" if window.name == "minute" else "messages_per_day"
    if not window.limit or window.resets_at is None:
        return f"Your licence includes no messages. {more(licence, limit)}"
    said = f"You have reached the limit of your licence: {amount(limit, window.limit)}."
    return f"{said} You can write again {moment(window.resets_at, now=now)}. {more(licence, limit)}"


def budget_reached(licence: Licence, limit: LimitName, *, resets_at: datetime) -> str:
    """The sentences for a month's budget that is used up."""
    cap = getattr(licence.limits, limit)
    if not cap:
        return f"Your licence includes no model calls. {more(licence, limit)}"
    said = f"This month's budget of your licence is used up: {amount(limit, cap)}."
    return f"{said} It begins anew on {resets_at.astimezone(UTC):%-d %B at %H:%M} UTC. {more(licence, limit)}"


def budget_set_aside(licence: Licence, limit: LimitName) -> str:
    """The sentences for a budget whose rest other answers may need."""
    said = "What is left of this month's budget is set aside for your other answers that are being written."
    return f"{said} Try again when they have ended. {more(licence, limit)}"


def more(licence: Licence, limit: LimitName) -> str:
    """Which tier has more of it, and whom to ask."""
    tiers = list(FEATURES)
    own = getattr(licence.limits, limit)
    for tier in tiers[tiers.index(licence.tier) + 1 :]:
        offered = getattr(tier_limits(tier), limit)
        if offered is None:
            return f"The {tier.capitalize()} licence has no such limit: ask your administrator for it."
        if offered > own:
            return f"The {tier.capitalize()} licence has {amount(limit, offered)}: ask your administrator for it."
    return "Your administrator can raise it."


def amount(limit: LimitName, value: float | Decimal) -> str:
    """A limit with its unit, such as `10 messages a minute` or `$5.00 of model costs a month`."""
    unit = _UNITS[limit].replace("messages", "message") if value == 1 else _UNITS[limit]
    return f"${value:,.2f} {unit}" if limit == "cost_usd_per_month" else f"{value:,} {unit}"


def moment(when: datetime, *, now: datetime) -> str:
    """`in 23 seconds`, or `at 14:05 UTC, in 3 h 12 min`."""
    left = when - now
    seconds = max(1, -(-left // timedelta(seconds=1)))
    if seconds <= _SECONDS_TOLD:
        return ngettext("in {count} second", "in {count} seconds", seconds).format(count=seconds)
    # Told a minute late rather than early.
    minutes = -(-seconds // 60)
    wait = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    time = f"{now.astimezone(UTC) + timedelta(minutes=minutes):%H:%M}"
    return _("at {time} UTC, in {wait}").format(time=time, wait=wait)
