"""300 damaged inputs of all kinds in every run; `python -m tests.fuzz` makes as many as wanted."""

import pytest

from tests.fuzz import faulty_kinds
from tests.fuzz.kinds import KINDS
from tests.fuzz.worker import run_cases

CASES = 300


@pytest.mark.slow
def test_damaged_inputs_are_right_or_refused() -> None:
    cases = [(kind, seed) for seed in range(-(-CASES // len(KINDS))) for kind in KINDS][:CASES]
    outcomes = list(run_cases(cases))
    assert [(one.kind, one.seed, one.detail) for one in outcomes if one.verdict == "fault"] == []
    assert {one.verdict for one in outcomes} == {"right", "refused"}
    assert len(outcomes) == CASES


@pytest.mark.slow
def test_faults_are_counted_and_do_not_end_the_run() -> None:
    """A harness that cannot count a fault would pass everything."""
    kinds = list(faulty_kinds.KINDS)
    outcomes = list(run_cases([(kind, 0) for kind in [*kinds, "right"]], seconds=0.5, module="tests.fuzz.faulty_kinds"))
    verdicts = {one.kind: one.verdict for one in outcomes}
    assert verdicts == dict.fromkeys(kinds, "fault") | {"right": "right", "refused": "refused"}
    details = {one.kind: one.detail for one in outcomes}
    assert "KeyError: 'name'" in details["raises"]
    assert "panic" in details["panics"]
    assert "100000 characters" in details["long_message"]
    assert "control characters" in details["escapes"]
    assert "no answer" in details["hangs"]
    assert "no answer" in details["computes"]
    assert details["crashes"] == "the process ended with 9"
