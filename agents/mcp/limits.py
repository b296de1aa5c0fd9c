"""What a workspace may cost us, in time and bytes. Its server may be the user's own: nothing it sends is trusted."""

# Seconds. A workspace on the same cluster accepts in milliseconds.
CONNECT_S = 5.0

# Seconds for connecting and agreeing on the protocol.
HANDSHAKE_S = 10.0

# Seconds of wall clock for one tool call, unless the caller says otherwise.
TOOL_S = 60.0

# Seconds of one that reports progress all the while, as a sweep over hundreds of runs does.
WORKING_TOOL_S = 600.0

# Seconds for what a turn waits on before its first word: history, context, the list of tools.
READ_S = 15.0

# The most that one response may bring, counted while it is read.
RESPONSE_BYTES = 4 * 1024 * 1024

# The most of a result's text that a model gets to see.
MODEL_TEXT_BYTES = 64 * 1024

# A workspace has about forty tools; a page of them is enough for any server worth listening to.
MOST_TOOLS = 128
TOOL_SCHEMA_BYTES = 32 * 1024

# Characters of a schema, and of all in a listing, with every reference replaced by what it names: a model sees no references.
# The largest of the workspace's own has three thousand, all of them twenty-five thousand.
EXPANDED_TOOL_CHARS = 64 * 1024
EXPANDED_TOOLS_CHARS = 256 * 1024


def capped(text: str, *, limit_bytes: int = MODEL_TEXT_BYTES) -> str:
    """At most `limit_bytes` of UTF-8 of `text`, cut between characters and marked as cut."""
    encoded = text.encode()
    if len(encoded) <= limit_bytes:
        return text
    mark = f"\n[cut: the first {limit_bytes} of {len(encoded)} bytes are shown]"
    kept = encoded[: max(0, limit_bytes - len(mark))]
    return kept.decode(errors="ignore") + mark
