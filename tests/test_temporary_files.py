"""A run of the tests leaves no temporary files behind; a full disk had ended the project's own check."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = """
import subprocess, sys, tempfile
import pytest

def test_folders_that_nothing_removes() -> None:
    tempfile.mkdtemp()
    script = "import os, tempfile; tempfile.mkdtemp(); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9

@pytest.mark.parametrize("number", range(3))
def test_pytests_own_folder(tmp_path, number) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
"""


def test_a_run_without_failures_leaves_no_files(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (tmp_path / "test_some.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-p", "no:cacheprovider"]
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, str(tmp_path / "test_some.py")], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
    assert [path.name for path in temporary.rglob("*") if path.is_file()] == []
    assert [path.name for path in temporary.iterdir() if not path.name.startswith("pytest-of-")] == []
