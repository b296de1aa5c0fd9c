"""Discord: slash commands as interactions, buttons, and direct messages (see _discord/gateway.py) with a bot."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from channels_app.channels import PICTURES_AND_DOCUMENTS, Button, Channel, File, Inbound, Part, Press, Target, Update
from channels_app.channels._discord import api, messages
from channels_app.channels._discord.interactions import (
    DEFERRED,
    DEFERRED_UPDATE,
    MESSAGE,
    OF_INTERACTION,
    SETTLING_S,
    TOKEN_LIFE_S,
    age_s,
    parse_update,
)
from channels_app.channels._http import own_address
from channels_app.channels._settings import bad_address, half_done, setting
from channels_app.channels._signing import is_fresh
from channels_app.errors import ChatClosed, NotEditable

PUBLIC_KEY = "DISCORD_PUBLIC_KEY"
SIGNATURE, TIMESTAMP = "x-signature-ed25519", "x-signature-timestamp"
_KEY = re.compile(r"[0-9a-f]{64}")
_HEX_SIGNATURE = re.compile(r"[0-9a-fA-F]{128}")
_ACCOUNT = re.compile(r"[1-9][0-9]{0,19}")
# Source: discord.com/developers, "Rate Limits": about five requests in five seconds for a route of a channel.
PREVIEW_EVERY_S = 1.2
# Source: "Trigger Typing Indicator": it "expires after 10 seconds".
TYPING_EVERY_S = 9.0
# Source: "Create Message", enforce_nonce: the nonce "will be checked for uniqueness in the past few minutes".
REPEATS_S = 60.0
# An interaction that nothing more is said to must be answered all the same.
SILENT = {
    "unlinked": "I have told you how to link this account.",
    "link_unanswered": "I have told you how to link this account.",
    "refused_again": "That is still not possible: I told you why.",
    "duplicate": "I have this message already.",
}


class Discord(Channel):
    """The channel; see Channel."""

    name = "discord"
    label = "Discord"
    reads = PICTURES_AND_DOCUMENTS
    hears = True
    # What is written in direct messages is heard only while `run_discord` runs.
    hears_all = False

    def faults(self) -> list[str]:
        """Application, key and token go together."""
        found = [*half_done(api.APPLICATION_ID, PUBLIC_KEY, api.BOT_TOKEN), *bad_address(api.BASE_URL)]
        if setting(api.APPLICATION_ID) and not _ACCOUNT.fullmatch(setting(api.APPLICATION_ID)):
            found.append(f"{api.APPLICATION_ID} must be a number.")
        if setting(PUBLIC_KEY) and not _KEY.fullmatch(setting(PUBLIC_KEY)):
            found.append(f"{PUBLIC_KEY} must be 64 digits of base 16, in lower case.")
        return found

    def is_on(self) -> bool:
        """All are there."""
        return bool(setting(PUBLIC_KEY)) and not self.faults()

    def admits(self, headers: Mapping[str, str]) -> bool:
        """It is signed, and says when: just now."""
        return self.is_on() and SIGNATURE in headers and is_fresh(headers.get(TIMESTAMP, ""))

    def signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Ed25519 over time and body. Source: "Interactions", "Validating Security Request Headers"."""
        signature = headers.get(SIGNATURE, "")
        if not _HEX_SIGNATURE.fullmatch(signature):
            return False
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(setting(PUBLIC_KEY)))
            key.verify(bytes.fromhex(signature), headers.get(TIMESTAMP, "").encode("utf-8", "surrogateescape") + body)
        except InvalidSignature:
            return False
        return True

    def parse(self, update: Any) -> Update:
        """A command, a pressed button, or a ping."""
        return parse_update(update)

    def reply(self, found: Inbound | Press, outcome: str) -> dict[str, Any] | None:
        """Within three seconds, so at once: the answer comes as an edit of this one. Others in a server don't see it."""
        if isinstance(found, Press):
            return {"type": DEFERRED_UPDATE}
        if outcome in SILENT:
            return {"type": MESSAGE, "data": messages.payload({"content": SILENT[outcome]}, hidden=True)}
        return {"type": DEFERRED, "data": {"flags": messages.EPHEMERAL if found.target.get("guild") else 0}}

    def answered(self, target: Target) -> Target:
        """What was deferred is filled in by then: the rest follows it."""
        return target | {"answered": True} if "interaction" in target else target

    def unasked(self, target: Target) -> Target:
        """In direct messages: the answer to an interaction stands, and would be written over."""
        return {name: target[name] for name in target if name == "user" or "interaction" not in target}

    def chat_of(self, target: Target) -> str:
        """Whatever is said to a user comes in one order."""
        return str(target["user"])

    account_of = chat_of

    def target_of(self, account: str) -> Target:
        """Direct messages."""
        return {"user": account}

    def waits_for_word(self, target: Target) -> bool:
        """An interaction, whose answer was deferred."""
        return "interaction" in target

    def is_account(self, account: str) -> bool:
        """The number of a user."""
        return bool(_ACCOUNT.fullmatch(account))

    def repeats_s(self, target: Target) -> float:
        """In direct messages, by their nonce; what follows an interaction has none."""
        return REPEATS_S if age_s(target) is None else 0.0

    def preview_every_s(self, target: Target) -> float | None:  # noqa: ARG002 - alike in every chat
        """As often as edits are let through."""
        return PREVIEW_EVERY_S

    def typing_every_s(self, target: Target) -> float | None:
        """In direct messages; an interaction that was deferred shows it by itself."""
        return TYPING_EVERY_S if "message" in target else None

    async def typing(self, target: Target, *, about: str) -> None:  # noqa: ARG002 - chats have no titles
        """Trigger Typing Indicator."""
        await api.call("POST", f"/channels/{target['channel']}/typing")

    def compose(self, markdown: str) -> list[Part]:
        """In Discord's markdown."""
        return messages.compose(markdown)

    def ask(self, markdown: str, buttons: Sequence[Button]) -> list[Part]:
        """With components."""
        return messages.ask(markdown, buttons)

    async def send(self, part: Part, target: Target) -> str:
        """As the answer to the interaction, or following it, as long as it lives; after that in direct messages."""
        if _alive(target):
            try:
                return await self._answer(part, target)
            except ChatClosed:
                # The server or channel that it was asked in is gone, or closed to the bot; its author is not.
                return await self._write(part, target)
            except api.NoInteraction:
                if (age_s(target) or 0) < SETTLING_S:
                    # Its answer is on its way: in a moment there is one to edit.
                    raise
        return await self._write(part, target)

    def picture(self, url: str, alt: str) -> Part | None:
        """As an attachment."""
        return messages.picture(url, alt)

    async def send_picture(self, part: Part, target: Target, *, content: bytes) -> str:
        """Below the answer: after the interaction as long as that lives, else in direct messages."""
        hidden = bool(target.get("guild")) and _alive(target)
        body = messages.with_attachment(messages.payload(part, hidden=hidden), part, filename=api.PICTURE)
        if _alive(target):
            try:
                made = await api.call("POST", f"{_hook(target)}?wait=true", body, picture=content)
                return f"{OF_INTERACTION}/{api.id_of(made)}"
            except (ChatClosed, api.NoInteraction):
                body["flags"] = messages.SUPPRESS_EMBEDS
        channel = await _direct_channel(target)
        body |= messages.once(part)
        made = await api.call("POST", f"/channels/{channel}/messages", body, picture=content)
        return f"{channel}/{api.id_of(made)}"

    async def edit(self, part: Part, target: Target, *, message: str) -> str:
        """By the interaction's token, or as the bot; what only the token reaches can't be edited once that is over."""
        channel, _, number = message.partition("/")
        if channel != OF_INTERACTION:
            await api.call("PATCH", f"/channels/{channel}/messages/{number}", messages.payload(part))
            return message
        if not _alive(target):
            raise NotEditable("interaction_over")
        try:
            await api.call("PATCH", f"{_hook(target)}/messages/{number}", messages.payload(part))
        except (api.NoInteraction, ChatClosed) as error:
            raise NotEditable(error.cause) from error
        return message

    async def fetch(self, file: File, *, most_bytes: int) -> bytes:
        """From Discord's own hosts."""
        url = own_address(file.place, api.FILES_HOSTS, base=setting(api.BASE_URL))
        return (await api.HTTP.fetch(url, headers={}, most_bytes=most_bytes)).body

    async def acknowledge(self, press: Press, text: str) -> None:
        """For the presser's eyes only."""
        body = messages.payload({"content": text}, hidden=True)
        await api.call("POST", f"/webhooks/{setting(api.APPLICATION_ID)}/{press.query}", body)

    async def close(self) -> None:
        """Close the connections."""
        await api.HTTP.close()

    async def _answer(self, part: Part, target: Target) -> str:
        is_first = part.get("first") and not part.get("below") and not target.get("answered")
        if is_first and (original := await self._fill_in(part, target)):
            return original
        hidden = bool(target.get("guild"))
        made = await api.call("POST", f"{_hook(target)}?wait=true", messages.payload(part, hidden=hidden))
        return f"{OF_INTERACTION}/{api.id_of(made)}"

    async def _fill_in(self, part: Part, target: Target) -> str | None:
        """The answer that was deferred; None when its author has dismissed it."""
        try:
            made = await api.call_again("PATCH", f"{_hook(target)}/messages/@original", messages.payload(part))
        except NotEditable:
            return None
        return f"{OF_INTERACTION}/{api.id_of(made)}"

    async def _write(self, part: Part, target: Target) -> str:
        channel = await _direct_channel(target)
        body = messages.payload(part) | messages.once(part)
        made = await api.call("POST", f"/channels/{channel}/messages", body)
        return f"{channel}/{api.id_of(made)}"


def _alive(target: Target) -> bool:
    age = age_s(target)
    return age is not None and age < TOKEN_LIFE_S


async def _direct_channel(target: Target) -> str:
    """Direct messages with a target's user."""
    if "message" in target:
        return str(target["channel"])
    return api.id_of(await api.call_again("POST", "/users/@me/channels", {"recipient_id": target["user"]}))


def _hook(target: Target) -> str:
    return f"/webhooks/{setting(api.APPLICATION_ID)}/{target['token']}"


CHANNEL = Discord()
