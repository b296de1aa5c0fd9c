"""What this gateway has no part for yet: its lists are empty, and nothing can be done with them."""

from rest_framework.request import Request
from rest_framework.response import Response

from agents.errors import Refused
from channels_app.api.base import ApiView, user_of, validated
from channels_app.api.openapi import described
from channels_app.api.paging import ListQuery, no_cursor
from channels_app.api.shapes import Uploads


class UploadsView(ApiView):
    """Files for messages."""

    @described("list_uploads", {200: Uploads}, query=ListQuery)
    def get(self, request: Request) -> Response:
        """None yet."""
        return _empty(request, "uploads")

    @described("add_upload", {}, refusals=(501,))
    def post(self, request: Request) -> Response:  # noqa: ARG002 - the framework's signature
        """Not available yet."""
        raise _not_yet()


def _empty(request: Request, name: str) -> Response:
    user_of(request)
    query = validated(ListQuery, request.query_params)
    if query["cursor"] is not None:
        raise no_cursor()
    return Response({name: [], "next": None})


def _not_yet() -> Refused:
    return Refused("not_available", "This gateway can't do that yet.")
