"""Conversations: the list, and each with its past."""

from datetime import datetime

from asgiref.sync import async_to_sync
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.licences import active_licence
from agents.conversations import (
    MAX_TITLE,
    ConversationItem,
    create_conversation,
    get_conversation,
    list_conversations,
    rename_conversation,
)
from agents.erasure import erase_conversation
from channels_app.api import shapes
from channels_app.api.base import ApiView, user_of, validated
from channels_app.api.openapi import described
from channels_app.api.paging import ListQuery, cursor_of, no_cursor, position_of
from channels_app.api.serializers import NewConversationBody, PageQuery, TitleBody, conversation_json
from channels_app.past import Past, read_past
from gateway.ids import is_id


class ConversationsQuery(ListQuery):
    """Which part of the list, and of which conversations."""

    q = serializers.CharField(
        max_length=MAX_TITLE, default="", allow_blank=True, help_text="Only those whose title holds this, in any case."
    )


class ConversationsView(ApiView):
    """The user's conversations."""

    @described("list_conversations", {200: shapes.Conversations}, query=ConversationsQuery)
    def get(self, request: Request) -> Response:
        """200 {conversations, next}, the last used first."""
        query = validated(ConversationsQuery, request.query_params)
        limit, after = query["limit"], _place(query["cursor"])
        # One more than asked for tells whether there is a page after it.
        found = async_to_sync(list_conversations)(
            user_of(request), limit=limit + 1, after=after, title_holds=query["q"].strip()
        )
        last = found[limit - 1] if len(found) > limit else None
        listed = [conversation_json(item) for item in found[:limit]]
        return Response({"conversations": listed, "next": last and cursor_of(last.updated_at.isoformat(), last.id)})

    @described("make_conversation", {201: shapes.Conversation}, body=NewConversationBody, refusals=(409,))
    def post(self, request: Request) -> Response:
        """201 with a new conversation; 403 without a licence, 409 for a user who has 1,000."""
        body = validated(NewConversationBody, request.data)
        made = async_to_sync(_create)(user_of(request), title=body["title"])
        return Response(conversation_json(made), status=201)


class ConversationView(ApiView):
    """One conversation, named by its id or as `main`."""

    @described("get_conversation", {200: shapes.ConversationWithItems}, query=PageQuery)
    def get(self, request: Request, conversation: str) -> Response:
        """200 with the conversation and a page of its history (`?before=&limit=`), which starts the workspace if need be."""
        query = validated(PageQuery, request.query_params)
        item = async_to_sync(get_conversation)(user_of(request), conversation)
        page = async_to_sync(_read)(user_of(request), item.id, before=query["before"], limit=query["limit"])
        turns = {turn: ending.model_dump() for turn, ending in page.turns.items()}
        return Response(conversation_json(item) | {"items": page.items, "before": page.before, "turns": turns})

    @described("rename_conversation", {200: shapes.Conversation}, body=TitleBody)
    def patch(self, request: Request, conversation: str) -> Response:
        """200 with the conversation under its new title."""
        title = validated(TitleBody, request.data)["title"]
        item = async_to_sync(rename_conversation)(user_of(request), conversation, title=title)
        return Response(conversation_json(item))

    @described("delete_conversation", {204: None}, refusals=(409,))
    def delete(self, request: Request, conversation: str) -> Response:
        """204; the history in the workspace goes too. 409 while one of its messages is being answered."""
        async_to_sync(erase_conversation)(user_of(request), conversation)
        return Response(status=204)


def _place(cursor: str | None) -> tuple[datetime, str] | None:
    """Where the list goes on. Raises rest_framework's ValidationError."""
    if cursor is None:
        return None
    moment, last = position_of(cursor, parts=2)
    try:
        at = datetime.fromisoformat(moment)
    except ValueError as error:
        raise no_cursor() from error
    if at.tzinfo is None or not is_id(last):
        raise no_cursor()
    return at, last


async def _create(user_id: str, *, title: str) -> ConversationItem:
    await active_licence(user_id)
    return await create_conversation(user_id, title=title)


async def _read(user_id: str, conversation: str, *, before: int | None, limit: int) -> Past:
    return await read_past(await active_licence(user_id), conversation, before=before, limit=limit)
