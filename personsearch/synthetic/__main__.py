"""`python -m personsearch.synthetic`."""

from personsearch.synthetic.cli import main

if __name__ == "__main__":
    main()
