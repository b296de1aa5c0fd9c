"""Pages, webhooks and the API."""

from django.urls import include, path, re_path

from channels_app.api.base import MissingView
from channels_app.api.docs import SchemaView, docs_page
from channels_app.pages import account_page, chat_page, choose_language
from channels_app.webhooks import WebhookView

urlpatterns = [
    path("", chat_page, name="chat"),
    path("account/", account_page, name="account"),
    path("language/", choose_language, name="language"),
    path("webhook/<str:channel>", WebhookView.as_view()),
    path("api/schema", SchemaView.as_view(), name="api-schema"),
    path("api/docs", docs_page, name="api-docs"),
    path("api/v1/", include("channels_app.api.urls")),
    # Anything else there is answered in the API's form, not with a page.
    re_path(r"^(api|webhook)(/|$)", MissingView.as_view()),
]
