"""What a person writes into a search field as a query of SQLite's full-text index."""

from __future__ import annotations

import re

from mcp_server.errors import BadQuery

# More words only cost time; what ranks a text is in the first ones.
MOST_WORDS = 64


def match_of(query: str) -> str:
    """A match for texts that hold a word of `query` or one that begins with it. Raises BadQuery."""
    words = re.findall(r"\w+", query.replace("_", " "))
    if not words:
        raise BadQuery
    return " OR ".join(f'"{word}" *' for word in words[:MOST_WORDS])
