"""How moments are written, by language (FORMAT_MODULE_PATH)."""
