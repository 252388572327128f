"""Values with threads are made again in a forked process, so that nothing there waits for threads that do not exist."""

import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personsearch.onnx_session import OnnxSession
from personsearch.processes import PerProcess
from tests.helpers import openvino_files
from tests.helpers.gallery_frames import environment
from tests.helpers.onnx_files import reid

pytestmark = [
    pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*fork"),
]
SECONDS = 60  # a busy machine is not a hang


def in_a_fork(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked process; fails if it takes longer than `SECONDS`."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=lambda: theirs.send(work()))
    process.start()
    try:
        assert ours.poll(SECONDS), "the forked process hangs"
        return ours.recv()
    finally:
        process.kill()
        process.join()


FORK = """
import sys
from pathlib import Path
import numpy as np
from personsearch.models.two_step.openvino_session import OpenVinoSession
from tests.test_processes import in_a_fork
session = OpenVinoSession(Path(sys.argv[1]), threads=2)
crop = np.random.default_rng(0).uniform(size=(1, 3, 8, 4)).astype(np.float32)
before = session.run(crop)[0]
print(np.array_equal(in_a_fork(lambda: session.run(crop)[0]), before), np.array_equal(session.run(crop)[0], before))
"""


def test_a_value_is_made_once_in_each_process() -> None:
    made: list[str] = []
    value = PerProcess(lambda: made.append("x") or len(made))
    assert [value.get(), value.get(), in_a_fork(lambda: [value.get(), value.get()]), value.get()] == [1, 1, [2, 2], 1]


def test_a_pool_of_threads_works_in_a_forked_process() -> None:
    pool = PerProcess(lambda: ThreadPoolExecutor(2))
    assert pool.get().submit(abs, -1).result() == 1
    assert in_a_fork(lambda: pool.get().submit(abs, -2).result(SECONDS)) == 2


def test_a_network_that_ran_before_a_fork_runs_in_the_forked_process(tmp_path: Path) -> None:
    """A searcher used in the parent process hung in every worker of `gunicorn --preload`."""
    session = OnnxSession(reid(tmp_path / "reid.onnx"), threads=2)
    port = session.inputs[0]
    rows = np.random.default_rng(0).uniform(size=[size or 2 for size in port.shape]).astype(port.dtype)
    before = session.run(rows)[0]
    assert np.array_equal(in_a_fork(lambda: session.run(rows)[0]), before)
    assert np.array_equal(session.run(rows)[0], before)


def test_an_openvino_network_that_ran_before_a_fork_runs_in_the_forked_process(tmp_path: Path) -> None:
    """In a process of its own: threads of other tests may hold locks at the moment of the fork."""
    pytest.importorskip("openvino")
    file = openvino_files.reid(tmp_path / "reid.xml")
    done = subprocess.run([sys.executable, "-c", FORK, str(file)], capture_output=True, text=True, env=environment(), timeout=4 * SECONDS)
    assert done.stdout.split() == ["True", "True"], done.stderr


TELEMETRY = """
import os, sys, time
from pathlib import Path
import numpy as np
from personsearch import PersonSearcher
PersonSearcher.from_pretrained(device="cpu", backend="onnx").detect(np.zeros((64, 64, 3), np.uint8))
child = os.fork()
if not child:
    sys.exit(3)
end, status = time.monotonic() + 60, (0, None)
while not status[0] and time.monotonic() < end:
    status = os.waitpid(child, os.WNOHANG)
    time.sleep(0.05)
if not status[0]:
    os.kill(child, 9)
print(status[1], [str(path) for path in Path.home().rglob("*") if "Microsoft" in path.parts])
"""


def test_onnx_runtime_sends_nothing_and_forked_processes_end(tmp_path: Path) -> None:
    """ONNX Runtime 1.31 sends telemetry from a thread: a forked process waited for that thread when it ended, or crashed."""
    values = {name: value for name, value in environment().items() if name not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    command = [sys.executable, "-c", TELEMETRY]
    done = subprocess.run(command, capture_output=True, text=True, env={**values, "HOME": str(tmp_path)}, timeout=4 * SECONDS)
    assert done.stdout.split() == [str(3 << 8), "[]"], done.stderr
