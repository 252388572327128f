"""Faster forms of layers, with the same results up to rounding."""
