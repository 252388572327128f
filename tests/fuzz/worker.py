"""Run cases in a process of their own, so that a hang, a crash or a full memory is a verdict and not the end."""

import importlib
import multiprocessing
import os
import resource
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import numpy as np

Verdict = Literal["right", "refused", "fault"]
KINDS_MODULE = "tests.fuzz.kinds"  # has KINDS, by name, and prepare()
SECONDS = 20.0  # of processor time; a case that takes longer is a fault
WAITING = 6.0  # times as long a case may take on the clock: a process that sleeps is a fault, a busy machine is not
START_SECONDS = 300.0  # importing everything on a busy machine
LONGEST = 3000  # characters of a message
MEMORY = 6 * 2**30  # bytes of data that the process may have


@dataclass(frozen=True)
class Outcome:
    """What became of one case."""

    kind: str
    seed: int
    verdict: Verdict
    detail: str = ""  # class and text of the error


def run_cases(cases: Iterable[tuple[str, int]], seconds: float = SECONDS, module: str = KINDS_MODULE) -> Iterator[Outcome]:
    """The outcome of every (kind, seed), in order.

    Args:
        cases: Kind, and seed of its generator.
        seconds: Processor time that a case may take.
        module: Module with the kinds.
    """
    worker: Worker | None = None
    try:
        for kind, seed in cases:
            worker = worker or Worker(module)
            outcome = worker.run(kind, seed, seconds)
            if worker.ended:
                worker = None
            yield outcome
    finally:
        if worker is not None:
            worker.stop()


class Worker:
    """A process that runs one case after the other."""

    def __init__(self, module: str = KINDS_MODULE) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True)  # removed here, as the process may be killed
        self._process = context.Process(target=_work, args=(theirs, module, self._folder.name), daemon=True)
        self._process.start()
        theirs.close()
        self.ended = False
        if not self._pipe.poll(START_SECONDS):
            self.stop()
            raise RuntimeError(f"the process of the cases did not start within {START_SECONDS:g} s")
        self._pipe.recv()

    def run(self, kind: str, seed: int, seconds: float) -> Outcome:
        """Run one case; a process that hangs is killed."""
        self._pipe.send((kind, seed))
        began, used = time.monotonic(), self._processor_time()
        try:
            while not self._pipe.poll(0.2):
                waited, worked = time.monotonic() - began, self._processor_time() - used
                if worked > seconds or waited > WAITING * seconds:
                    self.stop()
                    return Outcome(kind, seed, "fault", f"no answer within {worked:.0f} s of processor time, {waited:.0f} s in all")
            verdict, detail = self._pipe.recv()
            return Outcome(kind, seed, verdict, detail)
        except EOFError:
            self._process.join(10)
            self.stop()
            return Outcome(kind, seed, "fault", f"the process ended with {self._process.exitcode}")

    def _processor_time(self) -> float:
        """Seconds that the process has worked, all threads together; 0 after its end."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Kill the process, and remove its temporary files."""
        self._process.kill()
        self._process.join(10)
        self._folder.cleanup()
        self.ended = True


def _work(pipe: Connection, module: str, temporary: str) -> None:
    from personsearch.errors import PersonSearchError

    os.environ["TMPDIR"] = tempfile.tempdir = temporary
    kinds = importlib.import_module(module)
    kinds.prepare()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    pipe.send("ready")
    while True:
        kind, seed = pipe.recv()
        with tempfile.TemporaryDirectory() as folder:
            try:
                kinds.KINDS[kind](np.random.default_rng([len(kind), *kind.encode(), seed]), Path(folder))
                answer: tuple[Verdict, str] = ("right", "")
            except PersonSearchError as error:
                answer = _refusal(error)
            except BaseException as error:  # a Rust panic is not an Exception
                answer = ("fault", "".join(traceback.format_exception(error)[-4:]))
        pipe.send(answer)


def _refusal(error: BaseException) -> tuple[Verdict, str]:
    """An error of ours must be short and without control characters."""
    text = str(error)
    if len(text) > LONGEST:
        return "fault", f"{type(error).__name__} of {len(text)} characters: {text[:200]}"
    if any(ord(letter) < 32 and letter not in "\n\t" for letter in text):
        return "fault", f"{type(error).__name__} with control characters: {text!r}"
    return "refused", f"{type(error).__name__}: {text}"
