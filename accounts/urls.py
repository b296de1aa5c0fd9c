"""URLs of signing in, and of the development issuer."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("signin/", views.signin, name="signin"),
    path("signout/", views.signout, name="signout"),
    path(".well-known/jwks.json", views.jwks, name="jwks"),
    path("api/v1/token", views.TokenView.as_view(), name="token"),
]
