"""Checks of a user's options: what passes, what is an error, and that the error names the option."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personsearch import checks
from personsearch.errors import ConfigError, QueryError


@pytest.mark.parametrize(
    ("check", "value", "expected"),
    [
        (checks.count, 3, 3),
        (checks.count, np.int64(3), 3),
        (checks.counts, (30, 4), (30, 4)),
        (checks.counts, [np.int32(1), 2], (1, 2)),
        (checks.number, -2, -2.0),
        (checks.number, np.float32(0.5), 0.5),
        (checks.number, float("inf"), float("inf")),
        (checks.flag, False, False),
        (checks.flag, np.True_, True),
        (checks.text, "cuda:1", "cuda:1"),
        (checks.path, "~/photos", "~/photos"),
        (checks.path, Path("a/b"), "a/b"),
    ],
)
def test_valid_values_become_plain_python_values(check: Any, value: Any, expected: Any) -> None:
    checked = check("option", value)
    assert checked == expected
    assert type(checked) is type(expected)


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (checks.count, 0, "option must be at least 1, got 0"),
        (checks.count, True, "option must be a whole number, got True"),
        (checks.count, 2.0, "option must be a whole number, got 2.0"),
        (checks.count, "5", "option must be a whole number, got '5'"),
        (checks.counts, (1, 2, 3), "option must be two whole numbers"),
        (checks.counts, "30,4", "option must be two whole numbers"),
        (checks.counts, (1, 0), r"option\[1\] must be at least 1, got 0"),
        (checks.number, float("nan"), "option must be a number, got NaN"),
        (checks.number, True, "option must be a number, got True"),
        (checks.number, 1j, "option must be a number, got 1j"),
        (checks.flag, "no", "option must be True or False, got 'no'"),
        (checks.flag, 1, "option must be True or False, got 1"),
        (checks.text, Path("cpu"), "option must be text"),
        (checks.path, b"photos", "option must be a path or text, got b'photos'"),
        (checks.path, None, "option must be a path or text, got None"),
    ],
)
def test_wrong_values_are_errors_that_name_the_option(check: Any, value: Any, message: str) -> None:
    for error in (ConfigError, QueryError):
        with pytest.raises(error, match=message):
            check("option", value, error)


def test_a_choice_is_one_of_the_listed_values() -> None:
    checks.choice("rerank", "cbgm", (None, "cbgm"))
    checks.choice("rerank", None, (None, "cbgm"))
    with pytest.raises(ConfigError, match='rerank must be None or "cbgm", got 5'):
        checks.choice("rerank", 5, (None, "cbgm"))
    with pytest.raises(ConfigError, match='backend must be "auto", "torch" or "onnx", got None'):
        checks.choice("backend", None, ("auto", "torch", "onnx"))


def test_a_long_value_is_shortened_in_the_error() -> None:
    with pytest.raises(ConfigError) as error:
        checks.count("top_k", "9" * 1000)
    assert len(str(error.value)) < 140


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", "is a web page, perhaps of a login or an error; download the file again"),
        (b"\xef\xbb\xbf\n <HTML>", "is a web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a Git LFS pointer"),
        (b"", "is empty; download it again"),
    ],
)
def test_wrong_downloads_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert (checks.wrong_download(tmp_path / "file") or "").startswith(message)


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"\x80\x02}", b"version 1", b"{}"])
def test_other_files_are_not_taken_for_downloads(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert checks.wrong_download(tmp_path / "file") is None


def test_a_whole_number_beyond_floats_is_an_error() -> None:
    with pytest.raises(ConfigError, match="min_score must be a number, got a whole number beyond the range of a float"):
        checks.number("min_score", 10**400)
