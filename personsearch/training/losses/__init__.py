"""Losses, one file per idea of a paper."""
