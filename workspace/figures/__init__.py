"""Figures that belong to the machine: `python -m figures` from this folder prints them.

A module's `main()` prints its figures and gives those that are beyond any allowance for a busy machine, as text.
"""
