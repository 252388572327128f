"""A searcher that was used before gunicorn forks its workers (`--preload`) answers in each of them as it did before."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import personsearch
from tests.helpers.gallery_frames import environment

SCENES = Path(personsearch.__file__).parent / "data" / "demo" / "scenes"
STARTED, ANSWERED = 300, 120  # seconds, on a busy machine
WORKERS = 2

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs fork"),
    pytest.mark.skipif(find_spec("gunicorn") is None, reason="gunicorn is not installed"),
]


@contextmanager
def served(folder: Path, backend: str) -> Iterator[str]:
    """The address of the service, while it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", str(WORKERS), "--bind", f"127.0.0.1:{port}"]
    command += ["--timeout", str(ANSWERED), "tests.helpers.web_application:application"]
    values = {"SCENES": str(SCENES), "GALLERY": str(folder / "gallery"), "BACKEND": backend}
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, env={**environment(), **values}, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:  # a worker that hangs
                process.kill()
                process.wait()


def asked(address: str, seconds: float) -> dict[str, Any]:
    """The answer of the service, which may still be starting."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=ANSWERED) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.URLError as error:
            if time.monotonic() > end or not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.5)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_workers_of_gunicorn_answer_as_before_the_fork(tmp_path: Path, backend: str) -> None:
    with served(tmp_path, backend) as address:
        answers = [asked(address, STARTED)]
        while len({answer["worker"] for answer in answers}) < WORKERS and len(answers) < 40:
            answers.append(asked(address, 0))
    assert len({answer["worker"] for answer in answers}) == WORKERS, (tmp_path / "log.txt").read_text()
    assert "SIG" not in (tmp_path / "log.txt").read_text()  # a worker that crashes or hangs when it ends
    assert os.getpid() not in {answer["worker"] for answer in answers}
    for answer in answers:
        assert answer["now"]["hits"] == answer["before"]["hits"]
        assert answer["now"]["boxes"] == answer["before"]["boxes"]
    assert len(answers[0]["now"]["hits"]) == 5
