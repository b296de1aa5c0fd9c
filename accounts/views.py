"""Sign-in at an OpenID provider or by the development issuer, sign-out, and what the issuer publishes."""

from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import issuer, oidc, sessions, signin_attempts
from accounts.demo import demo_users
from accounts.signin_errors import SignInFailed
from accounts.tokens import is_user_id, verify_token


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def signin(request: HttpRequest) -> HttpResponse:
    """The page with the demo users (GET), and signing in as one of them (POST `user`, `next`).

    Without the development issuer it leads to the provider.
    """
    wanted = _next(request, request.GET.get("next", ""))
    at_provider = f"{reverse('signin_provider')}?{urlencode({'next': wanted})}" if oidc.is_on() else ""
    if not issuer.is_on():
        if not at_provider or request.method == "POST":
            raise Http404
        return redirect(at_provider)
    users = demo_users()
    if request.method == "POST":
        user = request.POST.get("user", "")
        if user not in {known.user_id for known in users}:
            raise Http404
        identity = async_to_sync(verify_token)(issuer.issue_token(user))
        sessions.sign_in(request, identity)
        return redirect(_next(request, request.POST.get("next", "")))
    context = {"users": users, "next": wanted, "at_provider": at_provider, "provider": oidc.provider_name()}
    return render(request, "accounts/signin.html", context)


@never_cache
@require_safe
def signin_provider(request: HttpRequest) -> HttpResponse:
    """Go to the provider, to come back to `next`."""
    if not oidc.is_on():
        raise Http404
    wanted = _next(request, request.GET.get("next", ""))
    try:
        url, attempt = async_to_sync(oidc.begin)(redirect_uri=_callback_address(request), next_path=wanted)
    except SignInFailed as error:
        return _not_signed_in(request, error, wanted)
    response = redirect(url)
    signin_attempts.keep(response, attempt)
    return response


@never_cache
@require_GET
def signin_callback(request: HttpRequest) -> HttpResponse:
    """The provider has sent the browser back."""
    if not oidc.is_on():
        raise Http404
    answer, wanted = request.GET.dict(), "/"
    try:
        attempt = signin_attempts.take(request, answer.get("state", ""))
        wanted = attempt.next
        identity = async_to_sync(oidc.finish)(attempt, answer, redirect_uri=_callback_address(request))
    except SignInFailed as error:
        response = _not_signed_in(request, error, wanted)
    else:
        sessions.sign_in(request, identity)
        response = redirect(wanted)
    signin_attempts.drop(response, answer.get("state", ""))
    return response


@require_POST
def signout(request: HttpRequest) -> HttpResponse:
    """End the session."""
    sessions.sign_out(request)
    return redirect("signed_out")


@never_cache
@require_safe
def signed_out(request: HttpRequest) -> HttpResponse:
    """Say so, also in the browser's other tabs: the way back may lead to a provider, who asks nobody who is signed in there."""
    if sessions.identity_of(request) is not None:
        return redirect("/")
    context = {
        "can_sign_in": oidc.is_on() or issuer.is_on(),
        "provider": oidc.provider_name(),
        "provider_sign_out": async_to_sync(oidc.sign_out_url)() if oidc.is_on() else "",
    }
    return render(request, "accounts/signed_out.html", context)


@require_safe
def jwks(_request: HttpRequest) -> HttpResponse:
    """The development issuer's public key."""
    if not issuer.is_on():
        raise Http404
    return JsonResponse(issuer.jwks())


class TokenView(APIView):
    """`POST /api/v1/token {"user": "demo-pro"}`: a token of the development issuer for anybody."""

    authentication_classes = ()
    permission_classes = ()

    class Form(serializers.Serializer[None]):
        """The request."""

        user = serializers.CharField(trim_whitespace=False)

        def validate_user(self, user: str) -> str:
            """The framework's own field takes numbers too."""
            if not isinstance(self.initial_data["user"], str):
                raise serializers.ValidationError("Not a valid string.")
            return user

    def post(self, request: Request) -> Response:
        """The token and when it expires."""
        if not issuer.is_on():
            raise NotFound
        form = self.Form(data=request.data)
        form.is_valid(raise_exception=True)
        user = form.validated_data["user"]
        if not is_user_id(user):
            raise serializers.ValidationError({"user": "That is no user id."})
        token = issuer.issue_token(user)
        identity = async_to_sync(verify_token)(token)
        answer = {"token": token, "expires_at": identity.expires_at.isoformat()}
        return Response(answer, headers={"Cache-Control": "no-store"})


def _callback_address(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("signin_callback"))


def _not_signed_in(request: HttpRequest, error: SignInFailed, wanted: str) -> HttpResponse:
    context = {"message": _(str(error)), "again": f"{reverse('signin')}?{urlencode({'next': wanted})}"}
    return render(request, "accounts/not_signed_in.html", context, status=error.status)


def _next(request: HttpRequest, wanted: str) -> str:
    """Where to go after signing in: a path of this site, or the chat."""
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if safe and wanted.startswith("/") else "/"
