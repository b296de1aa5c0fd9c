"""What the demo model says and does."""
