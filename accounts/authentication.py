"""How the API knows who calls: a bearer token, or the browser's session."""

from dataclasses import dataclass

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from accounts.enrolment import identify
from accounts.sessions import identity_of
from accounts.tokens import Identity, TokenInvalid


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, as `request.user`; `request.auth` is the Identity."""

    user_id: str
    is_authenticated: bool = True


Authenticated = tuple[Principal, Identity]


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <JWT>`."""

    def authenticate(self, request: Request) -> Authenticated | None:
        """Who the token proves; None when there is no bearer token, AuthenticationFailed when it is not valid."""
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        try:
            identity = async_to_sync(identify)(token.decode("ascii", errors="replace").strip())
        except TokenInvalid as error:
            raise AuthenticationFailed("The token is not valid.") from error
        return Principal(identity.user_id), identity

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 - the interface's
        """What a 401 asks for."""
        return "Bearer"


class BrowserSessionAuthentication(BaseAuthentication):
    """The session of the page; its unsafe requests need the CSRF token."""

    def authenticate(self, request: Request) -> Authenticated | None:
        """Who is signed in, or None; PermissionDenied when the CSRF token is missing or wrong."""
        http_request: HttpRequest = request._request
        identity = identity_of(http_request)
        if identity is None:
            return None
        reason = _CsrfCheck(_no_response).process_view(http_request, lambda *_: None, (), {})
        if reason is not None:
            raise PermissionDenied("The CSRF token is missing or wrong.")
        return Principal(identity.user_id), identity


class _CsrfCheck(CsrfViewMiddleware):
    def process_view(self, request: HttpRequest, *rest: object) -> object | None:  # type: ignore[override]
        """Check as the middleware does for ordinary views: DRF's are exempt from it."""
        self.process_request(request)
        return super().process_view(request, *rest)  # type: ignore[arg-type]

    def _reject(self, request: HttpRequest, reason: str) -> str:  # noqa: ARG002 - the interface's
        return reason


def _no_response(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()
