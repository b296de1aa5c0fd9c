"""The name of a user's workspace, safe as a folder's name and as a DNS label."""

import base64
import hashlib

PREFIX = "ws-"
# 13 characters of base32 hold 65 bits: two of a million users collide with a chance of 1 in 70 million.
DIGITS = 13


def workspace_name(user_id: str) -> str:
    """`ws-` and 13 lower-case base32 characters of the SHA-256 of the user id's UTF-8; defined for any string."""
    digest = hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()
    return PREFIX + base64.b32encode(digest).decode("ascii")[:DIGITS].lower()
