"""What runs in a cluster beside the API server, reduced to what a caller can see of it."""
