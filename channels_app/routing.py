"""Which sockets there are."""

from django.urls import path

from channels_app.consumers import chat

websocket_urlpatterns = [path("ws/chat", chat)]  # type: ignore[arg-type]  # an ASGI application, as URLRouter takes them
