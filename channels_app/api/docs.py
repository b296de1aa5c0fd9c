"""The API's description: `/api/schema` for programs, `/api/docs` for people. Both are the same for everybody."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from channels_app.api.openapi import document

# Swagger UI draws its icons from data: addresses and sets style attributes; scripts come from our own files only.
DOCS_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


class SchemaView(APIView):
    """The OpenAPI document."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    metadata_class = None
    schema = None

    def get(self, request: Request) -> Response:  # noqa: ARG002 - the framework's signature
        """200 with OpenAPI 3.1 as JSON."""
        return Response(document())


@require_safe
@ensure_csrf_cookie
def docs_page(request: HttpRequest) -> HttpResponse:
    """Swagger UI over the document, which may also send the requests, as the signed-in user or with a token."""
    response = render(request, "api/docs.html")
    response["Content-Security-Policy"] = DOCS_POLICY
    return response
