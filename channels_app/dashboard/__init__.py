"""The first page of the admin: what happened, in numbers."""
