"""The documentation: pages for mkdocs, and `docs.tables`, which fills README."""
