"""A platform of your own: signed JSON in, signed JSON out to one configured address. Its form stands in docs/channels.md."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import StringConstraints

from channels_app.channels import Button, Channel, Inbound, Part, Press, Target, Update
from channels_app.channels._http import Http
from channels_app.channels._parsing import Strict, key_of, parsed
from channels_app.channels._settings import bad_address, bad_label, half_done, setting, weak_secret
from channels_app.channels._signing import hmac_sha256, is_fresh, same
from channels_app.errors import NotEditable
from channels_app.names import shown_name
from channels_app.tame import tame
from gateway.ids import new_id

SECRET, URL, LABEL = "WEBHOOK_CHANNEL_SECRET", "WEBHOOK_CHANNEL_CALLBACK_URL", "WEBHOOK_CHANNEL_LABEL"
SIGNATURE, TIMESTAMP = "x-dexorder-signature", "x-dexorder-timestamp"
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")


class _Posted(Strict, extra="forbid"):
    """A message, or with `press` a button that `account` pressed. `id` is its own among the account's."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    account: Annotated[str, StringConstraints(pattern=f"^{_ACCOUNT.pattern}$")]
    text: str | None = None
    press: Annotated[str, StringConstraints(max_length=64)] | None = None
    name: str = ""
    thread: Annotated[str, StringConstraints(max_length=128)] = ""


class Webhook(Channel):
    """The channel; see Channel."""

    name = "webhook"
    _http = Http()

    @property
    def label(self) -> str:
        """As its operator calls it."""
        return setting(LABEL, "Webhook") or "Webhook"

    def faults(self) -> list[str]:
        """One without the other, a secret that is short, an address that is not https, a name that is none."""
        return [*half_done(SECRET, URL), *weak_secret(SECRET), *bad_address(URL), *bad_label(LABEL)]

    def is_on(self) -> bool:
        """Both are there."""
        return bool(setting(SECRET)) and not self.faults()

    def admits(self, headers: Mapping[str, str]) -> bool:
        """It says when it was signed, just now."""
        return self.is_on() and is_fresh(headers.get(TIMESTAMP, ""))

    def signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """HMAC-SHA256 over time and body."""
        return same(headers.get(SIGNATURE, ""), sign(headers.get(TIMESTAMP, ""), body))

    def parse(self, update: Any) -> Update:
        """A message, or a press."""
        posted = parsed(_Posted, update, of="message of docs/channels.md")
        if posted.press is not None:
            return Press(sender=posted.account, token=posted.press, query=posted.id)
        return Inbound(
            external_id=key_of(posted.account, posted.id),
            sender=posted.account,
            content=posted.text,
            target={"account": posted.account, "thread": posted.thread, "reply_to": posted.id},
            name=shown_name(posted.name),
            thread=posted.thread and key_of(posted.account, posted.thread),
        )

    def unasked(self, target: Target) -> Target:
        """In the thread."""
        return target | {"reply_to": ""}

    def chat_of(self, target: Target) -> str:
        """One chat an account."""
        return str(target["account"])

    account_of = chat_of

    def target_of(self, account: str) -> Target:
        """Of nobody's thread, in answer to nothing."""
        return {"account": account, "thread": "", "reply_to": ""}

    def is_account(self, account: str) -> bool:
        """As the other side names its people."""
        return _ACCOUNT.fullmatch(account) is not None

    def repeats_s(self, target: Target) -> float:  # noqa: ARG002 - alike for all
        """As long as a message is tried at all: its id is the same then, see docs/channels.md."""
        return 86400.0

    def preview_every_s(self, target: Target) -> float | None:  # noqa: ARG002 - alike for all
        """Often enough to be read along."""
        return 1.0

    def compose(self, markdown: str) -> list[Part]:
        """One message of any length, in markdown without what loads or runs."""
        return [{"message": new_id(), "text": tame(markdown), "buttons": [], "final": True}] if markdown.strip() else []

    def preview(self, markdown: str) -> Part | None:
        """The same, not yet whole."""
        return next((part | {"final": False} for part in self.compose(markdown)), None)

    def ask(self, markdown: str, buttons: Sequence[Button]) -> list[Part]:
        """With what `press` brings back."""
        shown = [{"label": button.label, "token": button.token} for button in buttons]
        return [part | {"buttons": shown} for part in self.compose(markdown)]

    async def send(self, part: Part, target: Target) -> str:
        """Post it, under the id that it was composed with."""
        return await self._post({"type": "message", **target, **part})

    async def edit(self, part: Part, target: Target, *, message: str) -> str:
        """Post it with the earlier one's id."""
        return await self._post({"type": "edit", **target, **part, "message": message})

    async def acknowledge(self, press: Press, text: str) -> None:
        """A notice, in answer to the press."""
        said = {"type": "notice", "reply_to": press.query, "message": new_id(), "text": text}
        await self._post(self.target_of(press.sender) | said)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _post(self, said: dict[str, Any]) -> str:
        shown = {name: value for name, value in said.items() if name not in {"key", "crowded"}}  # other channels'
        body, timestamp = json.dumps(shown, ensure_ascii=False).encode(), str(int(time.time()))
        headers = {"content-type": "application/json", TIMESTAMP: timestamp, SIGNATURE: sign(timestamp, body)}
        answer = await self._http.request("POST", setting(URL), headers=headers, content=body)
        if not answer.ok:
            raise NotEditable("status_404") if (answer.status, said["type"]) == (404, "edit") else answer.refusal()
        return str(said["message"])


def sign(timestamp: str, body: bytes) -> str:
    """The signature of a body at a time, as the header holds it."""
    return "v1=" + hmac_sha256(setting(SECRET), timestamp, ".", body)


CHANNEL = Webhook()
