"""A line above what comes by itself. It is the chat's alone: the conversation holds the answer as it was given."""

from agents.markup import plain


def headed(words: str, *, task: str) -> str:
    """The words below the name of the task that they come of, if they come of one."""
    return f"⏰ **{plain(task)}**\n\n{words}" if task and words else words
