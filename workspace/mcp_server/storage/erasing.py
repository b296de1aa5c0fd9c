"""Files that hold what was deleted: overwritten before they go, also when a kill came in between."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

CHUNK = bytes(1024 * 1024)
ERASED, DRAFT = "erased-", "draft-"


def keep_to_erase(file: Path) -> Path:
    """A second name for the file, under which a later start finds and erases it."""
    second = file.with_name(f"{ERASED}{secrets.token_hex(8)}")
    os.link(file, second)
    return second


def draft_folder(folder: Path) -> Path:
    """A new folder for a file that is being made; a later start clears it away if it is never finished."""
    made = folder / f"{DRAFT}{secrets.token_hex(8)}"
    made.mkdir(mode=0o700)
    return made


def erase_file(file: Path) -> None:
    """Overwrite the file with zeros, then remove it."""
    with file.open("r+b") as stream:
        left = os.fstat(stream.fileno()).st_size
        while left > 0:
            left -= stream.write(CHUNK[:left])
        stream.flush()
        os.fsync(stream.fileno())
    file.unlink()


def erase_folder(folder: Path) -> None:
    """Erase every file in the folder, then remove it; a folder that is not there is erased."""
    for file in folder.rglob("*"):
        # A file of a job that runs may go by itself.
        with suppress(FileNotFoundError):
            if file.is_file() and not file.is_symlink():
                erase_file(file)
    shutil.rmtree(folder, ignore_errors=True)


def clear_leftovers(folder: Path) -> None:
    """End what a kill interrupted: files that were being erased, drafts that were never finished."""
    for file in folder.glob(f"{ERASED}*"):
        # Killed between the second name and the replacement, the name is still that of a living file.
        if file.stat().st_nlink > 1:
            file.unlink()
        else:
            erase_file(file)
    for draft in folder.glob(f"{DRAFT}*"):
        erase_folder(draft)


def sync_folder(folder: Path) -> None:
    """Make renames in the folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
