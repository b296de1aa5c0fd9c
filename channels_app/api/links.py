"""Links: the accounts of other platforms that speak for the user, and those that ask to."""

from dataclasses import asdict
from typing import Any

from asgiref.sync import async_to_sync
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.link_requests import requests_of
from accounts.links import links_of
from channels_app import linking
from channels_app.api import shapes
from channels_app.api.base import ApiView, user_of, validated
from channels_app.api.openapi import described
from channels_app.api.serializers import LinkCodeBody, request_json


class LinksView(ApiView):
    """The user's links."""

    @described("get_links", {200: shapes.Links})
    def get(self, request: Request) -> Response:
        """200 {links: [{id, channel, account, name, created_at}], requests: [{id, channel, state, account, name, expires_at}]}.

        A request's state is `open` (nobody has used the code), `pending` (the user must confirm) or `refused` (the account is
        another user's).
        """
        return Response(async_to_sync(links_json)(user_of(request)))


class LinkCodesView(ApiView):
    """New codes."""

    @described("make_link_code", {201: shapes.LinkCode}, body=LinkCodeBody, refusals=(404, 409, 429))
    def post(self, request: Request) -> Response:
        """201 {code, command, deep_link, expires_at}; the user's code of the channel before it is no good any more."""
        channel = validated(LinkCodeBody, request.data)["channel"]
        offer = async_to_sync(linking.offer_code)(user_of(request), channel=channel)
        answer = {
            "code": offer.issued.code,
            "command": offer.command,
            "deep_link": offer.deep_link,
            "expires_at": offer.issued.expires_at,
        }
        return Response(answer, status=201, headers={"Cache-Control": "no-store"})


class LinkView(ApiView):
    """One link."""

    @described("end_link", {204: None})
    def delete(self, request: Request, link: str) -> Response:
        """204; what the account writes next is a stranger's."""
        async_to_sync(linking.end_link)(link, user_id=user_of(request))
        return Response(status=204)


class ConfirmView(ApiView):
    """The user's yes to a request."""

    @described("confirm_link", {200: shapes.Link}, refusals=(409,))
    def post(self, request: Request, link: str) -> Response:
        """200 with the link, whose id is the request's; 409 for an account that is another user's."""
        return Response(asdict(async_to_sync(linking.confirm)(link, user_id=user_of(request))))


class RejectView(ApiView):
    """The user's no."""

    @described("reject_link", {204: None})
    def post(self, request: Request, link: str) -> Response:
        """204; nothing is linked."""
        async_to_sync(linking.reject)(link, user_id=user_of(request))
        return Response(status=204)


async def links_json(user_id: str) -> dict[str, Any]:
    """What GET answers, and the account page begins with."""
    links, requests = await links_of(user_id), await requests_of(user_id)
    return {"links": [asdict(link) for link in links], "requests": [request_json(each) for each in requests]}
