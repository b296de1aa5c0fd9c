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

# Below it a wait is told in seconds, above it as a time of day.
_SECONDS_TOLD = 120


def messages_reached(window: Window, licence: Licence, *, now: datetime) -> str:
    """The sentences for a full window of messages."""
    limit: LimitName = "messages_per_minute" if window.name == "minute" else "messages_per_day"
    if not window.limit or window.resets_at is None:
        nothing = _("Your licence includes no messages.")
        return f"{nothing} {more(licence, limit)}"
    said = _("You have reached the limit of your licence: {amount}. You can write again {moment}.")
    said = said.format(amount=amount(limit, window.limit), moment=moment(window.resets_at, now=now))
    return f"{said} {more(licence, limit)}"


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
            words = _("The {tier} licence has no such limit: ask your administrator for it.")
            return words.format(tier=tier.capitalize())
        if offered > own:
            words = _("The {tier} licence has {amount}: ask your administrator for it.")
            return words.format(tier=tier.capitalize(), amount=amount(limit, offered))
    return _("Your administrator can raise it.")


def amount(limit: LimitName, value: float | Decimal) -> str:
    """A limit with its unit, such as `10 messages a minute` or `$5.00 of model costs a month`."""
    if limit == "cost_usd_per_month":
        return _("${cost} of model costs a month").format(cost=f"{value:,.2f}")
    if limit == "tokens_per_month":
        words = ngettext("{count} token a month", "{count} tokens a month", int(value))
    elif limit == "messages_per_day":
        words = ngettext("{count} message a day", "{count} messages a day", int(value))
    else:
        words = ngettext("{count} message a minute", "{count} messages a minute", int(value))
    return words.format(count=f"{value:,}")


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
