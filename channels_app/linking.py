"""Linking seen from the page and from staff: codes are offered, requests decided on, links ended."""

from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from accounts import audit
from accounts.errors import LimitReached, NotIncluded
from accounts.features import require_channel
from accounts.languages import tongues_on
from accounts.licences import active_licence
from accounts.link_codes import IssuedCode, issue_code
from accounts.link_requests import Decided, confirm_on, reject_on
from accounts.links import Link, LinkRefused, find_link, link_channel, unlink
from agents.errors import Refused
from channels_app import warmup
from channels_app.channels import Channel, channel_that_is_on, channels, label_of
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.rows import put
from gateway.db import Connection, connection

LINKED = gettext_noop(
    "Linked. This {label} account speaks for the Dexorder user `{user}` from now on: ask me something, or send /help. "
    "/unlink ends it."
)
REJECTED = gettext_noop("The request to link this {label} account was rejected. Nothing is linked.")
TAKEN = gettext_noop(
    "This {label} account speaks for another Dexorder user by now, so it was not linked to the one that was asked. To change "
    "that, send /unlink first and then use a new code."
)
TAKEN_ON_PAGE = "That {label} account is linked to another Dexorder user. It has to be unlinked there first."


@dataclass(frozen=True, slots=True)
class CodeOffer:
    """A new code, and what is typed in the chat to use it; `deep_link` None where the channel has none."""

    issued: IssuedCode
    command: str
    deep_link: str | None


def account_page() -> str:
    """The address of the account page, for people in a chat; "" when the gateway doesn't know its own."""
    origins: list[str] = settings.ALLOWED_ORIGINS
    return f"{origins[0]}/account/" if origins else ""


def channels_to_link() -> list[Channel]:
    """The channels that are on."""
    return [channel for channel in channels().values() if channel.is_on()]


async def offer_code(user_id: str, *, channel: str) -> CodeOffer:
    """A new code for the user.

    Raises NotLicensed, and Refused `invalid` for a channel that there is not, `not_included` and `rate_limited`.
    """
    licence = await active_licence(user_id)
    platform = channel_that_is_on(channel)
    if platform is None:
        raise Refused("invalid", "There is no such channel, or it is off.")
    try:
        require_channel(licence, platform.name, label=platform.label)
        issued = await issue_code(user_id, channel=channel)
    except NotIncluded as error:
        raise Refused(error.code, str(error)) from error
    except LimitReached as error:
        raise Refused(error.code, str(error), retry_after_s=error.retry_after_s) from error
    # Who links a chat is about to talk in it.
    warmup.begin(licence)
    return CodeOffer(issued, platform.typed(f"/link {issued.code}"), platform.deep_link(issued.token))


async def confirm(request: str, *, user_id: str) -> Link:
    """The user says yes: the account speaks for them from now on, and is told. Again is no error.

    Raises NotLicensed, and Refused `not_found` for another's request or one that is over, `conflict` for an account that is
    another user's.
    """
    licence = await active_licence(user_id)
    async with connection() as conn, conn.transaction():
        decided = await confirm_on(conn, request, user_id=user_id)
        if decided is not None:
            await _tell(conn, request, decided, text=LINKED if decided.linked else TAKEN, user_id=user_id)
            # A chat that is unlinked one day is told at once how to link it.
            await conn.execute(
                "DELETE FROM unlinked_senders WHERE channel = %s AND sender = %s",
                (decided.by.channel, decided.by.account),
            )
    if decided is not None and not decided.linked:
        raise Refused("conflict", TAKEN_ON_PAGE.format(label=label_of(decided.by.channel)))
    link = await find_link(decided.link if decided else request, user_id=user_id)
    if link is None:
        raise _no_request()
    warmup.begin(licence)
    return link


async def reject(request: str, *, user_id: str) -> None:
    """The user says no, and the account is told. Raises Refused `not_found`."""
    async with connection() as conn, conn.transaction():
        decided = await reject_on(conn, request, user_id=user_id)
        if decided is None:
            raise _no_request()
        await _tell(conn, request, decided, text=REJECTED, user_id=user_id)


async def end_link(link: str, *, user_id: str) -> None:
    """What the account writes next is a stranger's. Raises Refused `not_found`."""
    if not await unlink(link, user_id=user_id):
        raise Refused("not_found", "There is no such link.")


def link_account(*, user_id: str, channel: str, account: str, actor: str = audit.COMMAND) -> bool:
    """Link an account without asking it, as staff; False when it was so already. Raises LinkRefused."""
    check_account(channel, account)
    return link_channel(user_id=user_id, channel_type=channel, channel_user_id=account, actor=actor)


def check_account(channel: str, account: str) -> None:
    """Raise LinkRefused unless the channel is there, on or off, and its accounts have such ids."""
    platform = channels().get(channel)
    if platform is None:
        raise LinkRefused(f"There is no channel {channel!r}; the channels are {', '.join(channels())}.")
    if not platform.is_account(account):
        raise LinkRefused(f"That is no id of a {platform.label} account.")


async def _tell(conn: Connection, request: str, decided: Decided, *, text: str, user_id: str) -> None:
    """Say it in the chat; a new link's words are said only as long as it lasts."""
    by = decided.by
    channel = channels().get(by.channel)
    if channel is None:
        return
    tongues = await tongues_on(conn, [user_id])
    with override(tongues.of(user_id, channel=by.channel, account=by.account)):
        words = _(text).format(label=channel.label, user=user_id)
    reader = user_id if decided.linked else ""
    await put(conn, [text_letter(channel, words, target=by.reply_to, origin=f"link:{request}", user_id=reader)])


def _no_request() -> Refused:
    return Refused("not_found", "There is no such request any more. Get a new code.")
