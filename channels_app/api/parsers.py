"""Read request bodies as strictly as the socket reads its frames."""

from typing import IO, Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from channels_app import strict_json


class StrictJSONParser(BaseParser):
    """JSON in UTF-8 that a database can hold; see strict_json.py."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], *_framework: Any, **_context: Any) -> Any:
        """The body's value. Raises ParseError, and RequestDataTooBig past DATA_UPLOAD_MAX_MEMORY_SIZE."""
        try:
            return strict_json.loads(_read(stream))
        except strict_json.BadJSON as error:
            raise ParseError(str(error)) from error


class FlatFormParser(BaseParser):
    """A form in UTF-8 whose every field is there once, as an object of texts."""

    media_type = "application/x-www-form-urlencoded"

    def parse(self, stream: IO[bytes], *_framework: Any, **_context: Any) -> dict[str, str]:
        """The fields. Raises ParseError, and RequestDataTooBig past DATA_UPLOAD_MAX_MEMORY_SIZE."""
        try:
            fields = parse_qsl(
                _read(stream).decode("ascii"),
                keep_blank_values=True,
                strict_parsing=True,
                errors="strict",
                max_num_fields=100,
            )
        except ValueError as error:
            raise ParseError("This is not a valid form.") from error
        form = dict(fields)
        if len(form) != len(fields):
            raise ParseError("The form holds a field twice.")
        if any("\0" in text for field in fields for text in field):
            raise ParseError("A text holds a NUL character.")
        return form


def _read(stream: IO[bytes]) -> bytes:
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise RequestDataTooBig
    return body
