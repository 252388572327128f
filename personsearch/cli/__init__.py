"""The `personsearch` command."""

from personsearch.cli.app import main

__all__ = ["main"]
