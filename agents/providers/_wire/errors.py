"""What a vendor says instead of an answer."""

from collections.abc import Mapping
from typing import Any


class StatusError(Exception):
    """An HTTP status that is no answer."""

    def __init__(self, status_code: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"HTTP {status_code}")
        self.status_code, self.headers = status_code, headers
        self.body = body.decode("utf-8", "replace")


class StreamError(Exception):
    """An error that was told in the middle of a stream."""

    def __init__(self, error: Any) -> None:
        super().__init__("error in the stream")
        self.body = str(error)
        code = error.get("code") if isinstance(error, dict) else None
        # OpenRouter puts the status of the vendor behind it here.
        self.status_code = code if isinstance(code, int) else None
