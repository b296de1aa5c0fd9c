"""What the user uploads: recognised by content, read, cut into passages."""
