"""Everything of a user as one zip file, and back. `docs/archive.md` describes the file."""
