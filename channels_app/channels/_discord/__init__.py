"""Parts of the Discord channel."""
