"""The addresses of this app, the admin, and one that says who the API takes a request for."""

from typing import Any

from django.contrib import admin
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class WhoView(APIView):
    """Any method: {user_id}."""

    def get(self, request: Request) -> Response:
        caller: Any = request.user
        return Response({"user_id": caller.user_id})

    post = get


urlpatterns = [path("admin/", admin.site.urls), path("", include("accounts.urls")), path("who", WhoView.as_view())]
