"""Pictures of answers as files. Source: docs.slack.dev, files.getUploadURLExternal, files.completeUploadExternal."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from channels_app.channels import Part, Target
from channels_app.channels._http import own_address
from channels_app.channels._settings import setting
from channels_app.channels._slack import api
from channels_app.channels._slack.streams import Receipt
from channels_app.errors import DeliveryError

NAME = "chart.png"
# Source: files.getUploadURLExternal, alt_txt_too_large: "longer than the limit of 1000 character".
MAX_ALT = 1000
# A line above the picture; Slack names no limit for it.
MAX_TITLE = 200


def picture(url: str, alt: str) -> Part:
    """A picture, with its words: as its title, and for those who don't see it."""
    return {"picture": url, "title": alt[:MAX_TITLE].strip() or NAME, "alt": alt[:MAX_ALT].strip() or NAME}


async def send(part: Part, target: Target, *, content: bytes) -> Receipt:
    """Upload it, and show it; the receipt names the file, since Slack posts its message later. Raises DeliveryError."""
    with _nothing_is_shown():
        channel = await _channel_of(target)
        place = await api.call_form(
            "files.getUploadURLExternal", filename=NAME, length=str(len(content)), alt_txt=part["alt"]
        )
        await _upload(str(place.get("upload_url")), content)
    file = str(place.get("file_id"))
    await api.call_form(
        "files.completeUploadExternal",
        files=json.dumps([{"id": file, "title": part["title"]}]),
        channel_id=channel,
        **({"thread_ts": target["thread"]} if target["thread"] else {}),
    )
    return Receipt(channel, file)


@contextmanager
def _nothing_is_shown() -> Iterator[None]:
    """What fails before the last step has shown nothing, so it may be done again; a missing scope is not waited for."""
    try:
        yield
    except api.NoScope as error:
        raise DeliveryError(error.cause, permanent=True) from error
    except DeliveryError as error:
        if not error.ambiguous:
            raise
        raise DeliveryError(error.cause) from error


async def _channel_of(target: Target) -> str:
    """The last step takes no user's id: "input must match regex pattern: ^[CGDZ]" (slackapi/bolt-js, issue 2115)."""
    channel = str(target["channel"])
    if channel[:1] not in {"U", "W"}:
        return channel
    opened = (await api.call("conversations.open", users=channel)).get("channel")
    if not isinstance(opened, dict) or not isinstance(opened.get("id"), str):
        raise DeliveryError("odd_answer (conversations.open)", ambiguous=True)
    return str(opened["id"])


async def _upload(url: str, content: bytes) -> None:
    """The address is a secret of its own: no token goes there."""
    answer = await api.HTTP.request(
        "POST",
        own_address(url, api.FILES_HOSTS, base=setting(api.BASE_URL)),
        headers={"content-type": "application/octet-stream"},
        content=content,
    )
    if not answer.ok:
        later = answer.status == 429 or answer.status >= 500
        raise DeliveryError(f"upload_status_{answer.status}", permanent=not later, retry_after_s=answer.retry_after_s())
