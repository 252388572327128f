"""`python -m personsearch.training.synthetic`."""

from personsearch.training.synthetic.cli import main

if __name__ == "__main__":
    main()
