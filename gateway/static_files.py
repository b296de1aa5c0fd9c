"""Static files: as they lie there on a laptop; in production compressed, under names that hold their digest."""

from django.http import HttpRequest, HttpResponseBase, HttpResponseNotFound
from servestatic.middleware import ServeStaticMiddleware
from servestatic.responders import MissingFileError
from servestatic.storage import CompressedManifestStaticFilesStorage


class HashedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # it has no types
    """Also rewrites the imports between JavaScript modules, so that no page ever mixes two releases."""

    support_js_module_import_aggregation = True


class StaticFilesMiddleware(ServeStaticMiddleware):  # type: ignore[misc]
    """Answers 404 for a file that is not there, also with DEBUG, where the library shows the machine's folders."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Serve a static file, or pass the request on."""
        try:
            response: HttpResponseBase = await super().__call__(request)
        except MissingFileError:
            return HttpResponseNotFound("There is no such file.", content_type="text/plain")
        return response
