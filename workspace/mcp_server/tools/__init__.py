"""The tools and resources that a model or a client sees. Each tool's docstring is its description."""
