"""The one form of a list that has pages: `?limit=&cursor=` asks, `next` tells the cursor of the page after it."""

import base64
import binascii
import json
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

MAX_LIMIT = 100
DEFAULT_LIMIT = 50
# A time and an id take 80 characters; nothing of ours comes near this.
MAX_CURSOR_CHARS = 400


class ListQuery(serializers.Serializer[Any]):
    """Which part of a list."""

    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="The most items to answer with."
    )
    cursor = serializers.CharField(
        max_length=MAX_CURSOR_CHARS, default=None, help_text="`next` of the page before; absent for the first page."
    )


def cursor_of(*position: str) -> str:
    """What names a place in a list; opaque to clients, and safe in an address."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).rstrip(b"=").decode()


def position_of(cursor: str, *, parts: int) -> list[str]:
    """The `parts` texts of which `cursor_of` made the cursor. Raises rest_framework's ValidationError for any other text."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        position = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise no_cursor() from error
    if not isinstance(position, list) or len(position) != parts or not all(isinstance(part, str) for part in position):
        raise no_cursor()
    return position


def no_cursor() -> ValidationError:
    """The refusal of a cursor that none of our answers held."""
    return ValidationError({"cursor": ["This is no cursor of this list."]})
