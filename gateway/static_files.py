"""Static files: compressed as they are sent on a laptop; in production beforehand, under names that hold their digest."""

import gzip

from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotFound, StreamingHttpResponse
from django.utils.cache import patch_vary_headers
from servestatic.middleware import ServeStaticMiddleware
from servestatic.responders import MissingFileError
from servestatic.storage import CompressedManifestStaticFilesStorage

TEXTS = ("text/", "image/svg+xml", "application/json")


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
        is_text = response.headers.get("Content-Type", "").startswith(TEXTS)
        wanted = request.method == "GET" and "gzip" in request.headers.get("Accept-Encoding", "")
        own = self.autorefresh and request.path.startswith(self.static_prefix) and response.status_code == 200
        # No page is compressed, whose secrets its length could tell (BREACH, CVE-2013-3587).
        return await _compressed(response) if own and wanted and is_text else response

    def add_files_from_finders(self) -> None:
        """Name the folders that may be served from. Where each request looks its file up (with DEBUG), files need no list:
        making it takes 0.1 s at each start."""
        if not self.autorefresh:
            super().add_files_from_finders()
            return
        for finder in finders.get_finders():
            if isinstance(finder, finders.FileSystemFinder | finders.AppDirectoriesFinder):
                for storage in finder.storages.values():
                    self.insert_directory(storage.location, self.static_prefix)


async def _compressed(response: HttpResponseBase) -> HttpResponse:
    """The same file in one gzip member: Django's own middleware makes one of each block, of which browsers read the first."""
    assert isinstance(response, StreamingHttpResponse)  # noqa: S101 - what the library answers with
    parts = [part async for part in response.__aiter__()]
    packed = HttpResponse(gzip.compress(b"".join(parts)), headers=dict(response.headers))
    packed.headers.pop("Content-Length", None)
    packed.headers["Content-Encoding"] = "gzip"
    patch_vary_headers(packed, ["Accept-Encoding"])
    response.close()
    return packed
