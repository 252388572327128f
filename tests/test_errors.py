"""Errors: one base class, each also a builtin exception that callers may already catch."""

import inspect

import pytest

from personsearch import PersonSearchError, errors

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and value is not PersonSearchError]


@pytest.mark.parametrize("error", CLASSES)
def test_an_error_is_ours_and_a_builtin(error: type[Exception]) -> None:
    assert issubclass(error, PersonSearchError)
    builtins = [base for base in error.__mro__ if base.__module__ == "builtins" and base not in (Exception, BaseException, object)]
    assert builtins
    assert str(error("what is wrong; what to do")) == "what is wrong; what to do"


def test_errors_are_caught_by_the_expected_builtins() -> None:
    assert issubclass(errors.SourceError, FileNotFoundError)
    assert issubclass(errors.GalleryPermissionError, PermissionError)
    assert issubclass(errors.ModelNotFoundError, LookupError)
    assert issubclass(errors.MissingExtraError, ImportError)
    assert issubclass(errors.TrainingError, ArithmeticError)


def test_every_error_says_when_it_is_raised() -> None:
    for error in (PersonSearchError, *CLASSES):
        lines = (error.__doc__ or "").splitlines()
        assert len(lines) == 1, error
        assert lines[0].endswith("."), error
    assert len({error.__doc__ for error in CLASSES}) == len(CLASSES)
