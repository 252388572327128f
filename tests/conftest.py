"""Settings and fixtures of all tests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from personsearch.memory import return_freed_memory

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core per worker; torch reads it when it is imported

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # tests that import ONNX Runtime themselves

settings.register_profile("whole", deadline=None)  # a busy machine is not a counterexample
settings.register_profile("fast", deadline=None, max_examples=25)


def pytest_configure(config: pytest.Config) -> None:
    """Try fewer examples of each property in the fast run, `-m "not slow"`."""
    settings.load_profile("fast" if "not slow" in config.option.markexpr else "whole")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests marked `extra` or `browser` unless -m names that mark, so that `-m "not slow"` leaves them out too."""
    marks = [mark for mark in ("extra", "browser") if mark not in config.option.markexpr]
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in marks)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the temporary files of the tests, and of the processes they start and kill, in one folder, which is removed at the end."""
    tmp_path_factory.getbasetemp()  # pytest's own folder stays outside, as it keeps those of tests that failed
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="tests-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o711)  # a test lets another user enter a folder in it
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        yield
    tempfile.tempdir = before
    os.environ.pop("TMPDIR") if before is None else os.environ.update(TMPDIR=before)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the galleries and models of a test in its own folder."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("PERSONSEARCH_HOME", str(home))
    yield
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(autouse=True)
def _freed_memory_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that a test runs in this process would keep freed memory for all later tests: gigabytes."""
    monkeypatch.setattr("personsearch.memory.keep_freed_memory", lambda: True)


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Return the memory that the tests of a file have freed."""
    if nextitem is None or nextitem.path != item.path:
        return_freed_memory()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the development data, for tests marked `extra`; they fail without it."""
    folder = os.environ.get("PERSONSEARCH_SHARED")
    assert folder, "tests marked extra need PERSONSEARCH_SHARED, the folder of the development data"
    return Path(folder)
