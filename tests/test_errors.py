"""Errors: one base class, each also a builtin exception that callers may already catch."""

import inspect
import pickle

import pytest

from personsearch import PersonSearchError, errors
from personsearch.errors import ImageError, SourceError, shown

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, PersonSearchError)]
CLASSES.remove(PersonSearchError)


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


def test_terminal_escapes_in_a_message_are_escaped() -> None:
    """A file name could clear the screen or set the title of the terminal that shows the log."""
    assert str(ImageError("\x1b]0;owned\x07.jpg: is damaged")) == "\\x1b]0;owned\\x07.jpg: is damaged"
    assert str(SourceError("a\u202egpj.exe\ntwo\tlines")) == "a\\u202egpj.exe\ntwo\tlines"


def test_a_very_long_word_in_a_message_is_shortened() -> None:
    """A picture as base64, passed as a path, was a message of 1.1 million characters."""
    assert len(str(ImageError("A" * 1_000_000 + ": cannot be read"))) < 250
    path = "/photos/" + "x" * 200 + ".jpg"
    assert str(ImageError(f"{path}: cannot be read")) == f"{path}: cannot be read"


def test_shown_keeps_ordinary_names_of_any_language() -> None:
    assert shown("née 写真 😀 ‍ C:\\x.jpg") == "née 写真 😀 ‍ C:\\x.jpg"
    assert shown("a\nb\udcff\x9b\x7f") == "a\\nb\\udcff\\x9b\\x7f"


def test_a_list_error_travels_with_its_results() -> None:
    error = errors.ImagesError("1 of 2 pictures cannot be used", {1: "b.jpg: is empty"}, ["people of a.jpg", None])
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.unreadable, again.results) == (str(error), {1: "b.jpg: is empty"}, ["people of a.jpg", None])


def test_a_query_warning_is_a_warning_and_not_an_error() -> None:
    assert issubclass(errors.QueryWarning, UserWarning)
    assert not issubclass(errors.QueryWarning, PersonSearchError)
