"""URLs of signing in, and of the development issuer."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("signin/", views.signin, name="signin"),
    path("signin/provider/", views.signin_provider, name="signin_provider"),
    path("signin/callback/", views.signin_callback, name="signin_callback"),
    path("signed-out/", views.signed_out, name="signed_out"),
    path("signout/", views.signout, name="signout"),
    path(".well-known/jwks.json", views.jwks, name="jwks"),
    path("api/v1/token", views.TokenView.as_view(), name="token"),
]
