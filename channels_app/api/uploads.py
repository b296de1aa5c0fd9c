"""Files for messages: uploaded first, then named by a message in `attachments`."""

from dataclasses import asdict
from typing import Any

from asgiref.sync import async_to_sync
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from agents.uploads import UploadView as Upload
from agents.uploads import add_upload, delete_upload, list_uploads
from channels_app.api import shapes
from channels_app.api.base import ApiView, user_of, validated
from channels_app.api.openapi import described
from channels_app.api.paging import ListQuery, no_cursor
from channels_app.incoming import CHANNEL

FORM = {
    "multipart/form-data": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary", "description": "The file, with its name."}},
        "required": ["file"],
    }
}


class UploadsView(ApiView):
    """Files that no message has taken yet."""

    parser_classes = [MultiPartParser]

    @described("list_uploads", {200: shapes.Uploads}, query=ListQuery)
    def get(self, request: Request) -> Response:
        """200 {uploads, next}, the oldest first; there are never more than one page of them."""
        query = validated(ListQuery, request.query_params)
        if query["cursor"] is not None:
            raise no_cursor()
        found = async_to_sync(list_uploads)(user_of(request))
        return Response({"uploads": [asdict(each) for each in found[: query["limit"]]], "next": None})

    @described("add_upload", {201: shapes.Upload}, body=FORM, refusals=(409,))
    def post(self, request: Request) -> Response:
        """201 with the upload; 400 for what is neither a picture nor a document, 409 while too many wait to be sent."""
        return Response(asdict(async_to_sync(_add)(request, user_of(request))), status=201)


class UploadView(ApiView):
    """One of them."""

    @described("delete_upload", {204: None})
    def delete(self, request: Request, upload: str) -> Response:
        """204; it is erased. 404 for one that a message has taken."""
        async_to_sync(delete_upload)(user_of(request), upload)
        return Response(status=204)


async def _add(request: Request, user_id: str) -> Upload:
    files: list[Any] = request.FILES.getlist("file")
    if len(files) != 1:
        raise ValidationError({"file": ["Send one file."]})
    (file,) = files
    return await add_upload(user_id, name=file.name or "", content=file.read(), channel=CHANNEL)
