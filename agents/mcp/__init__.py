"""The workspace's tools and resources, over the Model Context Protocol."""
