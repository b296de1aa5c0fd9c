"""What signed requests have in common: a timestamp under the signature, which a replay can't renew."""

import hashlib
import hmac
import re
import time

# As Slack's and Discord's own libraries: five minutes, for clocks that differ.
MAX_SKEW_S = 300
_SECONDS = re.compile(r"[0-9]{1,12}")


def is_fresh(timestamp: str) -> bool:
    """Whether a time in seconds since 1970, as text, is now or within five minutes of it."""
    return bool(_SECONDS.fullmatch(timestamp)) and abs(time.time() - int(timestamp)) <= MAX_SKEW_S


def hmac_sha256(secret: str, *parts: str | bytes) -> str:
    """The HMAC of the joined parts, in hex."""
    message = b"".join(part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape") for part in parts)
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Whether two secrets are the same, in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
