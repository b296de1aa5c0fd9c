"""Linking seen from a chat: `/start CODE`, `/link CODE`, `/link`, `/unlink`, and a stranger's `/start` and `/help`.

None of them becomes a turn.
"""

import re
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts import audit
from accounts.link_codes import LIFE, ChatAccount, Redemption, normalised, redeem_on, void_on
from accounts.link_requests import withdraw_on
from accounts.link_tries import TRIES_EACH, WINDOW, Verdict, count_try_on
from accounts.links import unlink_account_on
from channels_app.channels import Channel, Inbound
from channels_app.deliveries.intake import text_letter
from channels_app.deliveries.rows import put
from channels_app.linking import account_page
from channels_app.replies import aside_letter
from gateway.db import Connection, connection

HOW_TO_LINK = gettext_noop(
    "I don't know you yet: this {label} account is linked to no Dexorder user. Open your account page{page}, choose "
    "*Link {label}*, and send me the code that it shows: `/link CODE`.\n\n"
    "The id of this account is `{sender}`; whoever runs this gateway can link it, too."
)
LINK_IN_PRIVATE = gettext_noop(
    "I answer people whose {label} account is linked to a Dexorder user. To link yours, write to me in a private chat."
)
ANSWERS = {
    Redemption.PENDING: gettext_noop(
        "Nearly done: confirm on your account page{page} that this account is yours. It is linked once you have, within "
        "{minutes} minutes. If you did not ask for this, send /unlink."
    ),
    Redemption.ALREADY: gettext_noop("This {label} account is linked to your Dexorder user already."),
    Redemption.TAKEN: gettext_noop(
        "This {label} account speaks for another Dexorder user, so it was not linked. To change that, send /unlink first "
        "and then use a new code."
    ),
    Redemption.INVALID: gettext_noop(
        "That code can't be used: it is wrong, was used before, or is older than {minutes} minutes. Get a new one on your "
        "account page{page}."
    ),
    Redemption.BLOCKED: gettext_noop("Too many tries. Wait {window} minutes, then use a new code."),
}
LINKED_ALREADY = gettext_noop(
    "This {label} account is linked to the Dexorder user `{user}`. /unlink ends that. Others are linked on your account "
    "page{page}."
)
UNLINKED = gettext_noop(
    "Unlinked. This {label} account speaks for no Dexorder user any more, and what was on its way to it is dropped. "
    "/link says how to link it again."
)
WITHDRAWN = gettext_noop("Withdrawn: this {label} account will not be linked.")
NOT_LINKED = gettext_noop("This {label} account is linked to no Dexorder user. /link says how to link it.")
ASKED_OFTEN = gettext_noop(
    "You have asked that a few times now. I am quiet for {window} minutes; a code of your account page works meanwhile."
)
CODE_SEEN = gettext_noop("Send me codes in our private chat only. Others have read this one here, so make a new one.")
# Two halves of four, as the page shows them, or one word; "Hey there" is none, though its letters are a code's.
_BARE_CODE = re.compile(r"(`?)\w{4}[ \u00a0-]?\w{4}\1")


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for: `redeem` (with the code as it was typed), `link` or `unlink`."""

    kind: str
    code: str = ""


def parse(content: str | None) -> Ask | None:
    """What a message asks for about linking, or None. `/start` is a greeting unless a code comes with it."""
    name = _command(content)
    if name is None:
        return None
    rest = "".join((content or "").split(maxsplit=1)[1:]).strip()
    if (name == "link" and rest) or (name == "start" and normalised(rest)):
        return Ask("redeem", rest)
    return Ask(name) if name in {"link", "unlink"} else None


def _command(content: str | None) -> str | None:
    """The command that a message begins with; "" for a slash alone."""
    first, *_ = [*(content or "").split(maxsplit=1), ""]
    return first[1:].partition("@")[0].lower() if first.startswith("/") else None


def parse_of_stranger(content: str | None) -> Ask | None:
    """The same of an account that is linked to nobody: it is told how to be, and the code alone, as the account page shows it,
    is a try, too."""
    ask = parse(content)
    bare = (content or "").strip()
    if ask is None and _BARE_CODE.fullmatch(bare) and normalised(bare.strip("`")):
        return Ask("redeem", bare.strip("`"))
    return Ask("link") if ask is None and _command(content) in {"start", "help"} else ask


async def answer(channel: Channel, inbound: Inbound, ask: Ask, *, user_id: str | None) -> str:
    """Do what is asked and say so in the chat, in one transaction; what became of it, in a word.

    Raises psycopg.Error, upon which nothing has happened.
    """
    by = _account_of(channel, inbound)
    async with connection() as conn, conn.transaction():
        outcome, text = await _HANDLERS[ask.kind](conn, by, ask.code, user_id)
        # An account that was unlinked just now is told so, as a stranger.
        reader = (user_id or "") if outcome != "unlinked" else ""
        origin = f"{channel.name}:{inbound.external_id}"
        words = in_words(channel, text, sender=inbound.sender, user=user_id or "")
        if not words:
            return "link_unanswered"
        target = channel.private(inbound.target)
        await put(conn, [text_letter(channel, words, target=target, origin=origin, user_id=reader)])
    return outcome


async def void(channel: Channel, inbound: Inbound, *, user_id: str | None) -> bool:
    """Make a code that others have read useless, and say so to them, in one transaction; whether the message is dealt with.

    One without a code is not, nor words that only look like one. Raises psycopg.Error, upon which nothing has happened.
    """
    ask = parse_of_stranger(inbound.content)
    if ask is None or not ask.code:
        return False
    by = _account_of(channel, inbound)
    async with connection() as conn, conn.transaction():
        voided = await void_on(conn, ask.code, by=by)
        if not voided and parse(inbound.content) is None:
            return False
        if user_id is not None or await _asks(conn, by) is Verdict.ALLOWED:
            await put(conn, [aside_letter(channel, inbound, _(CODE_SEEN), user_id=user_id or "")])
    return True


def _account_of(channel: Channel, inbound: Inbound) -> ChatAccount:
    return ChatAccount(
        channel=channel.name,
        account=inbound.sender,
        name=inbound.name,
        reply_to=channel.private(inbound.target),
        address=inbound.address,
    )


def in_words(channel: Channel, text: str, *, sender: str, user: str = "") -> str:
    """One of the texts above for this chat."""
    page = account_page()
    return _(text).format(
        label=channel.label,
        sender=sender,
        user=user,
        page=f" ({page})" if page else "",
        minutes=int(LIFE.total_seconds() // 60),
        window=int(WINDOW.total_seconds() // 60),
    )


Said = tuple[str, str]


async def _redeem(conn: Connection, by: ChatAccount, code: str, _user_id: str | None) -> Said:
    outcome = await redeem_on(conn, code, by=by)
    return f"link_{outcome.value}", ANSWERS.get(outcome, "")


async def _link(conn: Connection, by: ChatAccount, _code: str, user_id: str | None) -> Said:
    if user_id is not None:
        return "link_explained", LINKED_ALREADY
    return "link_explained", await _to_stranger(conn, by, HOW_TO_LINK)


async def _unlink(conn: Connection, by: ChatAccount, _code: str, _user_id: str | None) -> Said:
    if await unlink_account_on(conn, by.channel, by.account, actor=audit.chat(by.channel, by.account)):
        return "unlinked", UNLINKED
    if await withdraw_on(conn, by):
        return "link_withdrawn", WITHDRAWN
    return "not_linked", await _to_stranger(conn, by, NOT_LINKED)


async def _to_stranger(conn: Connection, by: ChatAccount, text: str) -> str:
    """What a stranger is told, who asks as often as they like: the text, once that there is no more for now, nothing."""
    verdict = await _asks(conn, by)
    return text if verdict is Verdict.ALLOWED else ASKED_OFTEN if verdict is Verdict.JUST_OVER else ""


async def _asks(conn: Connection, by: ChatAccount) -> Verdict:
    """Whether a stranger is answered: what they ask costs them nothing, and each answer is a row of ours."""
    return await count_try_on(conn, f"asked:{by}", limit=TRIES_EACH)


_HANDLERS = {"redeem": _redeem, "link": _link, "unlink": _unlink}
