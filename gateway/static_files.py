"""Static files in production: compressed, under names that hold their digest."""

from servestatic.storage import CompressedManifestStaticFilesStorage


class HashedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # it has no types
    """Also rewrites the imports between JavaScript modules, so that no page ever mixes two releases."""

    support_js_module_import_aggregation = True
