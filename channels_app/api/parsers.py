"""Read request bodies as strictly as the socket reads its frames."""

from typing import IO, Any

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
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise RequestDataTooBig
        try:
            return strict_json.loads(body)
        except strict_json.BadJSON as error:
            raise ParseError(str(error)) from error
