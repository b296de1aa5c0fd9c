"""Sign-in by the development issuer, sign-out, and what the issuer publishes."""

from asgiref.sync import async_to_sync
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import issuer, sessions
from accounts.demo import demo_users
from accounts.tokens import is_user_id, verify_token


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def signin(request: HttpRequest) -> HttpResponse:
    """The page with the demo users (GET), and signing in as one of them (POST `user`, `next`)."""
    if not issuer.is_on():
        raise Http404
    users = demo_users()
    if request.method == "POST":
        user = request.POST.get("user", "")
        if user not in {known.user_id for known in users}:
            raise Http404
        identity = async_to_sync(verify_token)(issuer.issue_token(user))
        sessions.sign_in(request, identity)
        return redirect(_next(request, request.POST.get("next", "")))
    context = {"users": users, "next": _next(request, request.GET.get("next", ""))}
    return render(request, "accounts/signin.html", context)


@require_POST
def signout(request: HttpRequest) -> HttpResponse:
    """End the session."""
    sessions.sign_out(request)
    return redirect("/")


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


def _next(request: HttpRequest, wanted: str) -> str:
    """Where to go after signing in: a path of this site, or the chat."""
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if safe and wanted.startswith("/") else "/"
