"""A world in which an idle workspace stops and its users come back, step by step in any order, on virtual time."""
