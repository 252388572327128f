"""What several test files use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a worker is a core's; torch reads it when it is imported

settings.register_profile("untimed", deadline=None)  # a busy machine is not a counterexample
settings.load_profile("untimed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests marked `extra` unless -m names that mark, so that `-m "not slow"` leaves them out too."""
    if "extra" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("extra")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Galleries and models of a test stay in the test's own folder."""
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The development data, for tests marked `extra`; missing data is a failure, not a skip."""
    folder = os.environ.get("PERSONSEARCH_SHARED")
    assert folder, "tests marked extra need PERSONSEARCH_SHARED, the folder of the development data"
    return Path(folder)
