"""The chat commands /schedule and /alert."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from accounts.channel_names import place_of
from accounts.errors import NotIncluded
from accounts.features import require_channel
from accounts.licences import Licence, NotLicensed, active_licence
from agents.errors import AgentFailed, Refused, ToolRefused
from agents.preferences import read_preferences
from agents.schedules.alerts import first_look
from agents.schedules.grammar import (
    ALERT_HELP,
    SCHEDULE_HELP,
    Delete,
    Misunderstood,
    NewAlert,
    NewTask,
    Redirect,
    parse_alert,
    parse_schedule,
    price_words,
)
from agents.schedules.rows import (
    AlertSpec,
    FirstLook,
    Kind,
    Schedule,
    TaskSpec,
    Where,
    add_alert,
    add_task,
    address_in,
    delete_number,
    redirect,
    schedules_on,
)
from agents.schedules.rules import zone_of

if TYPE_CHECKING:
    from agents.commands import Context

# Seconds that an answer waits for the workspace, which may have to be started; without it the command works too.
LOOK_S = 8.0
UTC_NOTE = (
    " Times are UTC, since I could read no time zone in your preferences. Tell me yours, such as"
    " *my time zone is Europe/Berlin*, and set the task again."
)
NOUNS: dict[Kind, str] = {"task": "task", "alert": "alert"}
HELPS: dict[Kind, str] = {"task": SCHEDULE_HELP, "alert": ALERT_HELP}


@dataclass(frozen=True, slots=True)
class Look:
    """What was found out about an alert's price, or why nothing was."""

    found: FirstLook
    trouble: str = ""


async def gather_schedule(user_id: str, words: str) -> ZoneInfo | None:
    """The user's time zone, for a new task; None when there is none."""
    if not isinstance(parse_schedule(words), NewTask):
        return None
    return await zone_of_user(user_id)


async def zone_of_user(user_id: str) -> ZoneInfo | None:
    """The time zone of the user's preferences; None when they name none, or the workspace does not answer soon."""
    try:
        async with asyncio.timeout(LOOK_S):
            return zone_of((await read_preferences(await active_licence(user_id))).time_zone)
    except (NotLicensed, AgentFailed, TimeoutError):
        return None


async def gather_alert(user_id: str, words: str) -> Look:
    """Where the price stands, for a new alert."""
    wanted = parse_alert(words)
    if not isinstance(wanted, NewAlert):
        return Look(FirstLook())
    return await look_for(user_id, AlertSpec(wanted.symbol, wanted.direction, wanted.level))


async def look_for(user_id: str, spec: AlertSpec) -> Look:
    """The first look at an alert's price; one that can't be had now is had later."""
    try:
        async with asyncio.timeout(LOOK_S):
            return Look(await first_look(await active_licence(user_id), spec))
    except (AgentFailed, ToolRefused) as error:
        return Look(FirstLook(), str(error))
    except NotLicensed:
        # The command itself is refused for that.
        return Look(FirstLook())
    except TimeoutError:
        return Look(FirstLook(), "Your workspace does not answer yet.")


async def schedule(context: "Context") -> str:
    """What /schedule does."""
    wanted = parse_schedule(context.words)
    if isinstance(wanted, Misunderstood):
        return wanted.message
    if isinstance(wanted, Delete):
        return await _delete(context, "task", wanted.number)
    if isinstance(wanted, Redirect):
        return await _redirect(context, "task", wanted)
    if not isinstance(wanted, NewTask):
        return await _list(context, "task")
    zone = context.facts or ZoneInfo("UTC")
    try:
        where = await _where(context, wanted.via)
        added = await add_task(context.conn, _licence(context), TaskSpec(wanted.rule, zone, wanted.text), where=where)
    except Refused as refusal:
        return refusal.message
    note = "" if context.facts else UTC_NOTE
    return f"Task {added.number}: {added.words()}. The next time is {when(added.due_at, zone)}.{note}"


async def alert(context: "Context") -> str:
    """What /alert does."""
    wanted = parse_alert(context.words)
    if isinstance(wanted, Misunderstood):
        return wanted.message
    if isinstance(wanted, Delete):
        return await _delete(context, "alert", wanted.number)
    if isinstance(wanted, Redirect):
        return await _redirect(context, "alert", wanted)
    if not isinstance(wanted, NewAlert):
        return await _list(context, "alert")
    look: Look = context.facts
    spec = AlertSpec(wanted.symbol, wanted.direction, wanted.level)
    try:
        where = await _where(context, wanted.via)
        added = await add_alert(context.conn, _licence(context), spec, where=where, look=look.found)
    except Refused as refusal:
        return refusal.message
    return f"Alert {added.number}: {added.words()}. {standing(spec, look)}"


def standing(spec: AlertSpec, look: Look) -> str:
    """What is known of the price when an alert is set."""
    if look.trouble:
        return f"I can't read its price yet: {look.trouble} I keep trying."
    if look.found.price is None:
        return "I'll tell you when it happens."
    now = f"It is at {price_words(look.found.price)} (bar of {look.found.seen})."
    if look.found.armed:
        return f"{now} I'll tell you when it crosses."
    return f"{now} That is {spec.direction} it already, so I'll tell you once it has come back and crosses again."


def when(moment: datetime, zone: ZoneInfo) -> str:
    """A moment as a person of that time zone reads it."""
    return moment.astimezone(zone).strftime("%A, %d %B %Y, %H:%M") + f" ({zone})"


async def _list(context: "Context", kind: Kind) -> str:
    found = await schedules_on(context.conn, context.user_id, kind=kind)
    if not found:
        return f"There is no {NOUNS[kind]} yet. For example:\n\n{HELPS[kind]}"
    number, name = found[0].number, _command(kind)
    how = f"Delete one with its number: /{name} delete {number}\nHave it told elsewhere: /{name} {number} via web"
    return "\n".join(_line(each) for each in found) + f"\n\n{how}"


def _line(item: Schedule) -> str:
    rest = f" – {item.state}: {item.reason}" if item.state != "active" else ""
    if item.kind == "task":
        rest = rest or f" – next {when(item.due_at, item.task.zone)}"
    elif not rest:
        rest = (
            f" – {item.reason}"
            if item.reason
            else f" – last at {price_words(item.last_price)}"
            if item.last_price
            else ""
        )
    return f"- **{item.number}** · {item.words()} (told {place_of(item.channel)}){rest}"


async def _delete(context: "Context", kind: Kind, number: int) -> str:
    gone = await delete_number(context.conn, context.user_id, kind=kind, number=number)
    if gone is None:
        return f"There is no {NOUNS[kind]} {number}. /{_command(kind)} gives the list."
    return f"Deleted: {gone.words()}"


async def _redirect(context: "Context", kind: Kind, wanted: Redirect) -> str:
    try:
        where = await _where(context, wanted.via)
    except Refused as refusal:
        return refusal.message
    moved = await redirect(context.conn, context.user_id, kind=kind, number=wanted.number, where=where)
    if moved is None:
        return f"There is no {NOUNS[kind]} {wanted.number}. /{_command(kind)} gives the list."
    return f"{moved.words()}: told {place_of(moved.channel)} from now on."


async def _where(context: "Context", via: str) -> Where:
    if not via or via == context.channel:
        return Where(context.channel, context.reply_to)
    try:
        require_channel(_licence(context), via)
    except NotIncluded as error:
        raise Refused(error.code, str(error)) from error
    return await address_in(context.conn, context.user_id, via)


def _licence(context: "Context") -> Licence:
    if context.licence is None:
        raise RuntimeError("A command is answered under a licence.")
    return context.licence


def _command(kind: Kind) -> str:
    return "schedule" if kind == "task" else "alert"
