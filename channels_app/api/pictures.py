"""Pictures that tools and models made for the user."""

from asgiref.sync import async_to_sync
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request

from agents.pictures import MEDIA_TYPES, read_picture
from channels_app.api.base import ApiView, user_of
from channels_app.api.charts import OneForm
from channels_app.api.openapi import described

# Seconds: as long as it is kept.
FRESH_S = 24 * 3600


class PictureView(ApiView):
    """One picture."""

    content_negotiation_class = OneForm

    @described("get_picture", {(200, kind): OpenApiTypes.BINARY for kind in MEDIA_TYPES.values()})
    def get(self, request: Request, picture: str) -> HttpResponse:
        """200 with the PNG, JPEG or WebP; 404 for another's, and for one whose day is over."""
        content, media_type = async_to_sync(read_picture)(picture, user_id=user_of(request))
        headers = {
            "Cache-Control": f"private, max-age={FRESH_S}, immutable",
            "Content-Disposition": "inline",
            "X-Content-Type-Options": "nosniff",
        }
        return HttpResponse(content, content_type=media_type, headers=headers)
