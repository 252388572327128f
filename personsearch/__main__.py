"""`python -m personsearch` is the `personsearch` command."""

from personsearch.cli import main

main()
