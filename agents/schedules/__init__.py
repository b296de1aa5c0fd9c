"""What the agent does by itself: tasks at set times, and alerts on prices."""
