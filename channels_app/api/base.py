"""What every view of the API shares."""

from typing import Any

from django.http import Http404, QueryDict
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts.tokens import Identity
from channels_app.api.parsers import StrictJSONParser


class ApiView(APIView):
    """A view for a signed-in user that reads strict JSON and answers JSON."""

    parser_classes = [StrictJSONParser]
    metadata_class = None


class MissingView(APIView):
    """What is not there, under any method and for anybody."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002 - the framework's signature
        """Refuse before the method is looked at."""
        raise Http404


def identity_of(request: Request) -> Identity:
    """Who asks. Raises NotAuthenticated for nobody."""
    if not isinstance(request.auth, Identity):
        raise NotAuthenticated
    return request.auth


def user_of(request: Request) -> str:
    """The id of the user who asks."""
    return identity_of(request).user_id


def validated(serializer: type[Serializer[Any]], data: Any) -> dict[str, Any]:
    """A request's data as the serializer reads them. Raises rest_framework's ValidationError."""
    # Of a query's own type the framework takes an empty value for an absent one.
    bound = serializer(data=data.dict() if isinstance(data, QueryDict) else data)
    bound.is_valid(raise_exception=True)
    return dict(bound.validated_data)
