"""Perilune: a complete IPsec stack.

Start reading in `ARCHITECTURE.md`; the rooms of this package are its layers.
"""
