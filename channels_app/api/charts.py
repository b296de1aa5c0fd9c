"""Charts of the user's backtests."""

from collections.abc import Iterable

from asgiref.sync import async_to_sync
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from accounts.licences import active_licence
from agents.charts import read_chart
from channels_app.api.base import ApiView, user_of
from channels_app.api.openapi import described

# Seconds. A backtest's id stands for its content, so that its chart never changes.
FRESH_S = 7 * 24 * 3600


class OneForm(BaseContentNegotiation):
    """Whatever is accepted: an <img> names other types than a program."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:  # noqa: ARG002 - the framework's
        """The only one."""
        return next(iter(parsers))

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002 - the framework's
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[BaseRenderer, str]:
        """That of refusals."""
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


class ChartView(ApiView):
    """The chart of one backtest."""

    content_negotiation_class = OneForm

    @described("get_backtest_chart", {(200, "image/png"): OpenApiTypes.BINARY})
    def get(self, request: Request, backtest: str) -> HttpResponse:
        """200 with the PNG, read from the user's own workspace, which is started if need be; 404 for any other."""
        picture = async_to_sync(_read)(user_of(request), backtest)
        headers = {
            "Cache-Control": f"private, max-age={FRESH_S}, immutable",
            "Content-Disposition": f'inline; filename="{backtest}.png"',
            "X-Content-Type-Options": "nosniff",
        }
        return HttpResponse(picture, content_type="image/png", headers=headers)


async def _read(user_id: str, backtest: str) -> bytes:
    return await read_chart(await active_licence(user_id), backtest)
