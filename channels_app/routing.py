"""Which sockets there are."""

from django.urls import path, re_path

from channels_app.consumers import chat, nowhere

# ASGI applications, as URLRouter takes them.
websocket_urlpatterns = [path("ws/chat", chat), re_path("", nowhere)]  # type: ignore[arg-type]
