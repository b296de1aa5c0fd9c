"""What waits for the user: approvals to decide, questions to answer."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from asgiref.sync import async_to_sync
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents.approvals import MAX_COMMENT_CHARS, Decision, decide, get_approval, list_approvals
from agents.approvals import ApprovalView as Approval
from agents.questions import QuestionView, Reply, list_questions, reply
from channels_app.api import shapes
from channels_app.api.base import ApiView, user_of, validated
from channels_app.api.openapi import described
from channels_app.api.paging import ListQuery, cursor_of, no_cursor, position_of
from channels_app.api.serializers import Text
from channels_app.incoming import CHANNEL
from gateway.ids import is_id

JSON = dict[str, Any]


class WaitingQuery(ListQuery):
    """Which part of a list, and of what."""

    state = serializers.ChoiceField(
        choices=["pending", "all"], default="all", help_text="`pending`: only what can still be decided."
    )


class DecisionBody(serializers.Serializer[Any]):
    """The user's yes or no; with `digest`, only to what has that digest."""

    decision = serializers.ChoiceField(choices=["approve", "reject"])
    comment = Text(max_length=MAX_COMMENT_CHARS, allow_blank=True, default="")
    digest = Text(max_length=64, min_length=64, required=False)


class AnswerBody(serializers.Serializer[Any]):
    """The values that answer a question; null declines to."""

    values = serializers.DictField(allow_null=True)


class ApprovalsView(ApiView):
    """What waits for the user's yes or no, and what became of the rest."""

    @described("list_approvals", {200: shapes.Approvals}, query=WaitingQuery)
    def get(self, request: Request) -> Response:
        """200 {approvals, next}, the newest first."""
        return Response(_page(request, "approvals", list_approvals))


class ApprovalView(ApiView):
    """One approval."""

    @described("get_approval", {200: shapes.Approval})
    def get(self, request: Request, approval: str) -> Response:
        """200 with the approval."""
        return Response(asdict(async_to_sync(get_approval)(user_of(request), approval)))


class DecisionView(ApiView):
    """The user's yes or no."""

    @described("decide_approval", {200: shapes.Approval}, body=DecisionBody, refusals=(409, 410))
    def post(self, request: Request, approval: str) -> Response:
        """200 with the approval as decided; 409 when it was before, or shows something else now; 410 when its time is over."""
        body = validated(DecisionBody, request.data)
        decision = Decision(
            approval=approval,
            choice=body["decision"],
            user_id=user_of(request),
            channel=CHANNEL,
            comment=body["comment"],
            digest=body.get("digest", ""),
        )
        return Response(asdict(async_to_sync(decide)(decision)))


class QuestionsView(ApiView):
    """What the agent asks, and has asked."""

    @described("list_questions", {200: shapes.Questions}, query=WaitingQuery)
    def get(self, request: Request) -> Response:
        """200 {questions, next}, the newest first."""
        return Response(_page(request, "questions", list_questions))


class AnswerView(ApiView):
    """The user's answer."""

    @described("answer_question", {200: shapes.Question}, body=AnswerBody, refusals=(409, 410))
    def post(self, request: Request, question: str) -> Response:
        """200 with the question; 400 for values that don't fit its schema, 409 when it is settled, 410 when its time is over."""
        values = validated(AnswerBody, request.data)["values"]
        given = Reply(question=question, user_id=user_of(request), channel=CHANNEL, values=values)
        return Response(asdict(async_to_sync(reply)(given)))


class _Lister(Protocol):
    def __call__(
        self, user_id: str, *, pending: bool, limit: int, before: str | None
    ) -> Awaitable[Sequence[Approval | QuestionView]]: ...


def _page(request: Request, name: str, read: _Lister) -> JSON:
    query = validated(WaitingQuery, request.query_params)
    limit, pending = query["limit"], query["state"] == "pending"
    before = position_of(query["cursor"], parts=1)[0] if query["cursor"] else None
    if before is not None and not is_id(before):
        raise no_cursor()
    # One more than asked for tells whether there is a page after it.
    found = async_to_sync(_listed)(lambda: read(user_of(request), pending=pending, limit=limit + 1, before=before))
    following = cursor_of(found[limit - 1].id) if len(found) > limit else None
    return {name: [asdict(each) for each in found[:limit]], "next": following}


async def _listed(
    read: Callable[[], Awaitable[Sequence[Approval | QuestionView]]],
) -> Sequence[Approval | QuestionView]:
    return await read()
