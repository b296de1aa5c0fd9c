"""The REST interface under /api/v1/: thin views that parse, call one function and answer."""
