"""The earlier name of `personsearch.synthetic`, for `python -m personsearch.training.synthetic`."""

from personsearch.synthetic.cli import main

if __name__ == "__main__":
    main()
