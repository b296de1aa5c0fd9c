"""Figures that belong to the machine: `python -m bench` from this folder prints them.

A module's `main()` prints its figures and gives those that are beyond any allowance for a busy machine, as text.
"""
