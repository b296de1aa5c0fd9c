"""Slack: direct messages, mentions and threads with a bot, through the Events API and the Web API."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from channels_app.channels import PICTURES_AND_DOCUMENTS, Button, Channel, File, Inbound, Part, Press, Target, Update
from channels_app.channels._settings import bad_address, half_done, setting
from channels_app.channels._signing import hmac_sha256, is_fresh, same
from channels_app.channels._slack import api, messages, pictures
from channels_app.channels._slack.events import in_direct_messages, parse_update
from channels_app.channels._slack.openings import parse_opening
from channels_app.channels._slack.streams import Receipt, append_stream, begin_stream, end_stream
from channels_app.errors import DeliveryError

SIGNING_SECRET = "SLACK_SIGNING_SECRET"  # noqa: S105 - the setting's name
SIGNATURE, TIMESTAMP = "x-slack-signature", "x-slack-request-timestamp"
_TOKEN = re.compile(r"xoxb-[A-Za-z0-9-]{10,250}")
_ACCOUNT = re.compile(r"[A-Z0-9]{1,30}:[A-Z0-9]{1,30}")
# Source: docs.slack.dev, rate limits: chat.update is of tier 3, 50 a minute and more; chat.appendStream of tier 4, 100.
UPDATE_EVERY_S = 1.5
APPEND_EVERY_S = 1.0
# Source: assistant.threads.setStatus: "If no message is sent after two minutes … the status will be removed".
STATUS_EVERY_S = 60.0
STATUS = "is working on it…"

log = structlog.get_logger(__name__)


class Slack(Channel):
    """The channel; see Channel."""

    name = "slack"
    label = "Slack"
    reads = PICTURES_AND_DOCUMENTS
    hears = True
    forms = True

    def faults(self) -> list[str]:
        """Token and secret go together."""
        token, secret = setting(api.TOKEN), setting(SIGNING_SECRET)
        found = [*half_done(api.TOKEN, SIGNING_SECRET), *bad_address(api.BASE_URL)]
        if token and not _TOKEN.fullmatch(token):
            found.append(f"{api.TOKEN} is not a bot's token (xoxb-…).")
        if secret and not re.fullmatch(r"[A-Za-z0-9]{16,128}", secret):
            found.append(f"{SIGNING_SECRET} is not the signing secret of a Slack app.")
        return found

    def is_on(self) -> bool:
        """Both are there."""
        return bool(setting(api.TOKEN)) and not self.faults()

    def admits(self, headers: Mapping[str, str]) -> bool:
        """It says when it was signed, just now."""
        return self.is_on() and SIGNATURE in headers and is_fresh(headers.get(TIMESTAMP, ""))

    def signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Source: docs.slack.dev, "Verifying requests from Slack"."""
        expected = "v0=" + hmac_sha256(setting(SIGNING_SECRET), "v0:", headers.get(TIMESTAMP, ""), ":", body)
        return same(headers.get(SIGNATURE, ""), expected)

    def parse(self, update: Any) -> Update:
        """An event, a pressed button, or the slash command."""
        return parse_opening(update) or parse_update(update)

    def reply(self, found: Inbound | Press, outcome: str) -> dict[str, Any] | None:  # noqa: ARG002 - whatever came of it
        """Whoever used the command in a channel is told, unseen by others, where the answer is."""
        asked_in = found.target.get("asked_in") if isinstance(found, Inbound) else None
        return {"response_type": "ephemeral", "text": "I answer in our direct messages."} if asked_in else None

    def chat_of(self, target: Target) -> str:
        """The channel; direct messages have their account's name, by whichever id they are reached."""
        return self.account_of(target) if in_direct_messages(target) else str(target["channel"])

    def account_of(self, target: Target) -> str:
        """Team and user."""
        return f"{target['team']}:{target['user']}"

    def target_of(self, account: str) -> Target:
        """Source: chat.postMessage: a user's id opens the direct messages with them."""
        team, _, user = account.partition(":")
        return {"team": team, "user": user, "channel": user, "thread": ""}

    def private(self, target: Target) -> Target:
        """In a channel others read along."""
        return target if in_direct_messages(target) else self.target_of(self.account_of(target))

    def is_account(self, account: str) -> bool:
        """Team and user."""
        return bool(_ACCOUNT.fullmatch(account))

    def typed(self, command: str) -> str:
        """Slack's own client keeps what begins with a slash."""
        return messages.typed(command)

    def preview_every_s(self, target: Target) -> float | None:
        """A thread has a stream, other messages are updated."""
        return APPEND_EVERY_S if target["thread"] else UPDATE_EVERY_S

    def typing_every_s(self, target: Target) -> float | None:
        """Slack's assistant threads have a status, which an answer ends."""
        return STATUS_EVERY_S if target["thread"] and in_direct_messages(target) else None

    async def typing(self, target: Target, *, about: str) -> None:
        """assistant.threads.setStatus, and setTitle, by which the panel lists its threads."""
        place = {"channel_id": target["channel"], "thread_ts": target["thread"]}
        await api.call("assistant.threads.setStatus", **place, status=STATUS)
        if about:
            await _try("assistant.threads.setTitle", **place, title=about)

    def compose(self, markdown: str) -> list[Part]:
        """In mrkdwn."""
        return messages.compose(markdown)

    def preview(self, markdown: str) -> Part | None:
        """With the markdown for a stream beside it."""
        return messages.preview(markdown)

    def ask(self, markdown: str, buttons: Sequence[Button]) -> list[Part]:
        """As a block with the text and one with the buttons."""
        return messages.ask(markdown, buttons)

    def greet(self, markdown: str, prompts: Sequence[tuple[str, str]]) -> list[Part]:
        """Source: assistant.threads.setSuggestedPrompts: "up to four suggested prompts"."""
        parts = messages.compose(markdown)
        parts[-1]["prompts"] = [{"title": title, "message": message} for title, message in prompts[:4]]
        return parts

    async def send(self, part: Part, target: Target) -> str:
        """As the beginning of a stream where that is possible, else chat.postMessage."""
        if "stream" in part and (begun := await begin_stream(part["stream"], target)) is not None:
            return str(begun)
        answer = await api.call(
            "chat.postMessage",
            channel=target["channel"],
            text=part["text"],
            unfurl_links=False,
            unfurl_media=False,
            **({"thread_ts": target["thread"]} if target["thread"] else {}),
            **({"blocks": messages.blocks(part)} if part.get("buttons") else {}),
        )
        if part.get("prompts"):
            await _suggest(part["prompts"], str(answer["channel"]), target)
        return str(Receipt(str(answer["channel"]), str(answer["ts"])))

    def picture(self, url: str, alt: str) -> Part | None:
        """A file with its title."""
        return pictures.picture(url, alt)

    async def send_picture(self, part: Part, target: Target, *, content: bytes) -> str:
        """By an upload that is completed in the chat."""
        return str(await pictures.send(part, target, content=content))

    async def edit(self, part: Part, target: Target, *, message: str) -> str:  # noqa: ARG002 - the receipt says where
        """The stream goes on; anything else ends it, and is chat.update."""
        receipt = Receipt.read(message)
        if receipt.streamed is not None:
            if "stream" in part and (grown := await append_stream(receipt, part["stream"])) is not None:
                return str(grown)
            receipt = await end_stream(receipt)
        # Empty blocks take the buttons away.
        await api.call(
            "chat.update", channel=receipt.channel, ts=receipt.ts, text=part["text"], blocks=messages.blocks(part)
        )
        return str(receipt)

    async def fetch(self, file: File, *, most_bytes: int) -> bytes:
        """With the bot's token."""
        return await api.fetch(file.place, most_bytes=most_bytes)

    async def acknowledge(self, press: Press, text: str) -> None:
        """For the presser's eyes only."""
        channel, _, thread = press.query.partition(":")
        in_thread = {"thread_ts": thread} if thread else {}
        await api.call(
            "chat.postEphemeral", channel=channel, user=press.sender.partition(":")[2], text=text, **in_thread
        )

    async def close(self) -> None:
        """Close the connections."""
        await api.HTTP.close()


async def _suggest(prompts: list[dict[str, str]], channel: str, target: Target) -> None:
    """What may be asked first, where the app is one of Slack's agents or assistants. The message stands without it, too."""
    # Source: setSuggestedPrompts: "thread_ts … should only be used in the legacy assistant messaging experience".
    thread = {"thread_ts": target["thread"]} if target["thread"] else {}
    await _try("assistant.threads.setSuggestedPrompts", channel_id=channel, prompts=prompts, **thread)


async def _try(method: str, **arguments: Any) -> None:
    """What not every app may do, and no message waits for."""
    try:
        await api.call(method, **arguments)
    except DeliveryError as error:
        log.info("slack_refused", method=method, cause=error.cause)


CHANNEL = Slack()
