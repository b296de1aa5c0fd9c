"""A folder for the time of a measurement."""

import atexit
import shutil
import tempfile
from pathlib import Path


def passing_folder(within: Path | None = None) -> Path:
    """A new folder that goes when this process ends: after the database in it, if that is started later, has ended."""
    folder = Path(tempfile.mkdtemp(dir=within))
    atexit.register(shutil.rmtree, folder)
    return folder
