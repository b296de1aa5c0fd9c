"""Finding texts by meaning: an optional model turns texts into vectors, and what is near is alike.

A model is a module, named by `--embeddings`, that offers what `Model` in `models.py` says.
"""
