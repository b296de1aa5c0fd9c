"""Tools over conversations: append a turn, list, read a page, summarise, delete."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mcp_server.storage.conversations import MESSAGE_BYTES, Conversations, Heading, Message, Page, Summary
from mcp_server.tools.offer import ADDS, READS, REPLACES, Offer

MOST_LISTED = 200

# A summary stands in every later prompt of its conversation: about 5,000 tokens.
MOST_SUMMARY = 20_000

# The largest integer that SQLite holds; a larger one would be an error, not an empty page.
LARGEST_POSITION = 2**63 - 1

ConversationId = Annotated[
    str,
    Field(
        min_length=1, max_length=128, description="Id of the conversation, chosen by the client, e.g. 'main' or a UUID."
    ),
]


class MessageIn(BaseModel):
    """A message of a turn. Other small keys (name, tool_calls, tool_call_id, at, model, channel) are kept."""

    model_config = ConfigDict(extra="allow")

    role: Literal["user", "assistant", "tool"]
    content: Annotated[str, Field(max_length=MESSAGE_BYTES, description="Text of the message.")]


class AppendedReply(BaseModel):
    """`stored` is false when the turn was stored by an earlier call, which then stands."""

    conversation: str
    turn: str
    stored: bool
    messages: int


class ConversationReply(BaseModel):
    """A conversation in the list; times are ISO 8601 in UTC."""

    id: str
    title: str
    messages: int
    created_at: str
    updated_at: str


class ConversationsReply(BaseModel):
    """Conversations, the last written first, and how many there are in all."""

    conversations: list[ConversationReply]
    total: int


class SummaryReply(BaseModel):
    """What the messages up to and with the position `up_to` said; `updated_at` is ISO 8601 in UTC."""

    text: str
    up_to: int
    updated_at: str


class PageReply(BaseModel):
    """Messages oldest first; pass `before` on to get the page of older ones, null = there are none.

    `last` is the position of the newest message on this page, null = the page is empty.
    """

    id: str
    title: str
    summary: SummaryReply | None
    messages: list[dict[str, Any]]
    total: int
    before: int | None
    last: int | None


class SummarisedReply(BaseModel):
    """The summary that stands now. `stored` is false when another is kept, which covers more."""

    conversation: str
    stored: bool
    summary: SummaryReply


class DeletedReply(BaseModel):
    """How many messages were erased; 0 = there was no such conversation."""

    conversation: str
    erased: int


class ConversationTools:
    """Conversations for the gateway and for a model."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    def offers(self) -> list[Offer]:
        return [
            Offer(self.append_messages, "Append messages", ADDS),
            Offer(self.list_conversations, "List conversations", READS),
            Offer(self.get_conversation, "Read a conversation", READS),
            Offer(self.set_summary, "Summarise a conversation", REPLACES),
            Offer(self.delete_conversation, "Delete a conversation", REPLACES),
        ]

    def append_messages(
        self,
        conversation: ConversationId,
        turn: Annotated[
            str,
            Field(
                min_length=1,
                max_length=128,
                description="Id of the turn, e.g. '0198c2f4-7d1e'; each turn is stored once.",
            ),
        ],
        messages: Annotated[
            list[MessageIn],
            Field(
                min_length=1,
                max_length=200,
                description="The turn's messages in order, e.g. [{'role': 'user', 'content': 'Hello'}, "
                "{'role': 'assistant', 'content': 'Hi!'}].",
            ),
        ],
    ) -> AppendedReply:
        """Store the messages of one turn at the end of a conversation, which is made when it doesn't exist.

        Repeating a turn id changes nothing, so a call that may have failed can be repeated. A message has at most
        256 KiB. For the gateway that runs the conversation; a model uses remember.
        """
        bodies: list[Message] = [message.model_dump() for message in messages]
        done = self._conversations.append(conversation, turn=turn, messages=bodies)
        return AppendedReply(conversation=conversation, turn=turn, stored=done.stored, messages=done.messages)

    def list_conversations(self) -> ConversationsReply:
        """List the user's conversations, the last written first, at most 200; `total` tells how many there are."""
        newest = self._conversations.newest(MOST_LISTED)
        return ConversationsReply(conversations=[reply(each) for each in newest], total=self._conversations.count())

    def get_conversation(
        self,
        conversation: ConversationId,
        before: Annotated[
            int | None,
            Field(
                ge=0,
                le=LARGEST_POSITION,
                description="The `before` of the page that came last, for older messages; left out = the newest.",
            ),
        ] = None,
        limit: Annotated[int, Field(ge=1, le=200, description="At most this many messages.")] = 50,
    ) -> PageReply:
        """Read a page of a conversation: the newest page first, its oldest message first. An unknown one is empty."""
        return page_reply(conversation, self._conversations.page(conversation, limit=limit, before=before))

    def set_summary(
        self,
        conversation: ConversationId,
        summary: Annotated[
            str,
            Field(
                min_length=1,
                max_length=MOST_SUMMARY,
                description="What the messages up to `up_to` said, e.g. 'The user asked for SPX and its RSI (41.7).'",
            ),
        ],
        up_to: Annotated[
            int,
            Field(
                ge=1,
                le=LARGEST_POSITION,
                description="Position of the last message that the summary covers: the `last` of a page, or less.",
            ),
        ],
    ) -> SummarisedReply:
        """Keep a summary of a conversation's older messages, which stay; it replaces the summary before it.

        The resource conversation://{id} then gives the summary and only the messages after it. A summary that covers
        less than the one that is kept changes nothing, so calls may be repeated and overtake each other. For the
        gateway that runs the conversation.
        """
        kept = self._conversations.summarise(conversation, text=summary, up_to=up_to)
        return SummarisedReply(
            conversation=conversation,
            stored=(kept.text, kept.up_to) == (summary, up_to),
            summary=summary_reply(kept),
        )

    def delete_conversation(self, conversation: ConversationId) -> DeletedReply:
        """Erase a conversation and all its messages for good. Ask the user first."""
        return DeletedReply(conversation=conversation, erased=self._conversations.delete(conversation))


def reply(heading: Heading) -> ConversationReply:
    """The conversation as clients see it in a list."""
    return ConversationReply.model_validate(heading, from_attributes=True)


def page_reply(conversation: str, page: Page) -> PageReply:
    """The page as clients see it."""
    return PageReply(
        id=conversation,
        title=page.title,
        summary=page.summary and summary_reply(page.summary),
        messages=page.messages,
        total=page.total,
        before=page.before,
        last=page.last,
    )


def summary_reply(summary: Summary) -> SummaryReply:
    """The summary as clients see it."""
    return SummaryReply.model_validate(summary, from_attributes=True)
