"""Static files: as they lie there on a laptop; in production compressed, under names that hold their digest."""

from django.contrib.staticfiles import finders
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
