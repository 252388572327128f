"""Freed memory stays in the process, measured in another process."""

import ctypes
import subprocess
import sys

import pytest

import personsearch
from personsearch import PersonSearcher
from personsearch.cli import options
from personsearch.memory import keep_freed_memory

GROWN = """
import resource, sys
from personsearch.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
import numpy as np
def held():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before = held()
np.ones(30_000_000 // 8)
print(held() - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc's option")
def test_freed_memory_stays_with_the_process() -> None:
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", GROWN, how], capture_output=True, text=True, check=True).stdout)
        for how in ("keep", "not")
    )
    assert kept > 25_000_000 > 5_000_000 > given_back


def test_commands_in_tests_do_not_keep_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of the command line made each later test of their process keep what it had freed, 4 GB in all."""
    changed: list[object] = []
    monkeypatch.setattr(ctypes, "CDLL", changed.append)  # the only way to the allocator's options
    personsearch.keep_freed_memory()
    assert changed == []


def test_other_systems_are_not_changed(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()


def test_the_command_line_keeps_freed_memory(monkeypatch) -> None:
    kept: list[bool] = []
    monkeypatch.setattr("personsearch.memory.keep_freed_memory", lambda: kept.append(True))
    monkeypatch.setattr(PersonSearcher, "from_pretrained", lambda *_, **__: kept.append(False))
    options.open_searcher(None, "cpu")
    assert kept == [True, False]  # before the model is opened
