"""What a message carries besides text, and how a file is fetched. Source: Bot API, "Message", "PhotoSize", getFile."""

from typing import Annotated, Any
from urllib.parse import quote

from django.conf import settings
from pydantic import Field, TypeAdapter, ValidationError

from agents.uploads import MOST_BYTES
from channels_app.channels import File
from channels_app.channels._http import Http
from channels_app.channels._parsing import Strict
from channels_app.channels._telegram import api
from channels_app.errors import DeliveryError, TooLarge
from channels_app.names import shown_name

# What people send besides text, in words; all else without text is the platform's own news (a pinned message, a new timer).
# The order decides: an animation is a document as well.
KINDS = {
    "animation": "animations", "audio": "music", "contact": "contacts", "document": "such files", "game": "games",
    "location": "locations", "paid_media": "paid media", "photo": "such pictures", "poll": "polls", "dice": "dice",
    "sticker": "stickers", "story": "stories", "venue": "places", "video": "videos", "video_note": "video messages",
    "voice": "voice messages", "checklist": "checklists",
}  # fmt: skip

HTTP = Http()


class _File(Strict):
    file_id: Annotated[str, Field(min_length=1, max_length=250)]
    file_name: str = ""
    file_size: int = 0


_PHOTO = TypeAdapter(Annotated[list[_File], Field(min_length=1, max_length=20)])


def kind_of(message: dict[str, Any]) -> str:
    """The field that says what the message is besides text; "" when it is nothing that people send."""
    return next((kind for kind in KINDS if message.get(kind) is not None), "")


def files_of(message: dict[str, Any]) -> tuple[File, ...]:
    """The file of a message, if it is of a kind that can be read at all."""
    kind, number = kind_of(message), message["message_id"]
    try:
        if kind == "photo":
            sizes = _PHOTO.validate_python(message[kind])
            # They come from small to large; one that is too large for us is shown in a smaller size.
            # How large one is may be left out.
            fitting = [size for size in sizes if size.file_size <= MOST_BYTES] or sizes[:1]
            return (File(f"photo-{number}.jpg", fitting[-1].file_id, order=number),)
        if kind in {"document", "voice", "audio"}:
            found = _File.model_validate(message[kind])
            name = shown_name(found.file_name) or ("file" if kind == "document" else f"voice-{number}.ogg")
            return (File(name, found.file_id, spoken=kind != "document", order=number),)
    except ValidationError:
        # Answered like anything else that can't be read: Telegram would send a refused update again and again.
        return ()
    return ()


async def fetch(file_id: str, *, most_bytes: int) -> bytes:
    """The file. The bot's token stands in its address, which leaves this function in no error. Raises DeliveryError, TooLarge."""
    found = await api.call(lambda bot: bot.get_file(file_id))
    if (found.file_size or 0) > most_bytes:
        raise TooLarge
    base = f"{settings.TELEGRAM_API_BASE_URL.rstrip('/')}/file/bot{settings.TELEGRAM_BOT_TOKEN}/"
    address = found.file_path or ""
    if not address.startswith(base):
        # A Bot API server in its local mode names a file of its own machine.
        raise DeliveryError("no_file_path", permanent=True)
    path = quote(address.removeprefix(base))
    return (await HTTP.fetch(base + path, headers={}, most_bytes=most_bytes)).body
