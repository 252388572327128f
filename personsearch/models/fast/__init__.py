"""Faster forms of the same arithmetic."""
