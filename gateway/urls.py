"""Every URL of the gateway."""

from django.contrib import admin
from django.urls import include, path

from gateway import health, metrics

urlpatterns = [
    path("health", health.ready),
    path("health/live", health.live),
    path("metrics", metrics.metrics),
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("", include("channels_app.urls")),
]
