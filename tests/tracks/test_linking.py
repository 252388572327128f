"""Linking the people of a video over time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from personsearch.boxes import Array
from personsearch.tracks import link

A, B = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)


def linked(*people: tuple[float, float, Array], gap: float = 1.0, every: int = 1, **options: object) -> list[int]:
    """Labels of people (second, left, embedding), each 40 pixels wide and 100 high, of a video of ten frames a second."""
    times = np.array([time for time, _, _ in people], float)
    boxes = np.array([[left, 50, left + 40, 150] for _, left, _ in people], float).reshape(-1, 4)
    rows = np.array([row for _, _, row in people], np.float32).reshape(len(people), len(people[0][2]) if people else 2)
    return link(np.rint(times * 10).astype(int), times, boxes, rows, gap, every, **options).tolist()  # type: ignore[arg-type]


def test_a_person_who_walks_is_one_track() -> None:
    assert linked(*((t / 10, 9.0 * t, A) for t in range(30))) == [0] * 30


def test_two_people_of_one_second_are_two_tracks() -> None:
    assert linked((0, 0, A), (0, 200, B), (0.1, 5, A), (0.1, 195, B), (0.2, 10, A), (0.2, 190, B)) == [0, 1, 0, 1, 0, 1]


def test_people_dressed_alike_are_told_apart_by_place() -> None:
    assert linked((0, 0, A), (0, 300, A), (0.1, 298, A), (0.1, 5, A)) == [0, 1, 1, 0]


def test_people_who_meet_are_told_apart_by_appearance() -> None:
    """Both are in one place at 0.5 s and go on; by place alone they could have turned round."""
    walk = [(t / 10, 20.0 * t, A) for t in range(11)], [(t / 10, 200 - 20.0 * t, B) for t in range(11)]
    people = [one for pair in zip(*walk, strict=True) for one in pair]
    assert linked(*people) == [0, 1] * 11


def test_another_person_in_the_same_place_is_another_track() -> None:
    assert linked((0, 0, A), (0.1, 0, B)) == [0, 1]


def test_the_same_person_across_the_picture_is_another_track() -> None:
    assert linked((0, 0, A), (0.1, 400, A)) == [0, 1]


def test_a_track_ends_after_the_gap() -> None:
    people = [(0, 0, A), (0.1, 0, A), (1.1, 0, A), (3.0, 0, A)]
    assert linked(*people) == [0, 0, 0, 1]
    assert linked(*people, gap=2) == [0, 0, 0, 0]
    assert linked(*people, gap=0.5) == [0, 0, 1, 2]


def test_frames_in_sequence_are_linked_however_far_apart() -> None:
    people = [(0, 0, A), (4, 30, A), (8, 60, A)]
    assert linked(*people) == [0, 1, 2]
    assert linked(*people, every=40) == [0, 0, 0]


def test_a_person_half_as_high_is_somebody_else() -> None:
    boxes = np.array([[0, 0, 40, 100], [0, 0, 15, 40]], float)
    assert link(np.array([0, 1]), np.array([0, 0.1]), boxes, np.array([A, A]), 1.0).tolist() == [0, 1]


def test_without_embeddings_the_place_decides() -> None:
    none = np.zeros(0, np.float32)
    assert linked((0, 0, none), (0, 200, none), (0.1, 195, none), (0.1, 5, none)) == [0, 1, 1, 0]


def test_frames_without_times_are_not_linked() -> None:
    boxes = np.tile([0.0, 0, 40, 100], (3, 1))
    assert link(np.arange(3), np.full(3, np.nan), boxes, np.tile(A, (3, 1)), 1.0).tolist() == [0, 1, 2]


def test_no_people_to_link() -> None:
    assert linked() == []


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 200), st.integers(0, 3)), max_size=40))
def test_people_of_one_frame_are_never_one_track(people: list[tuple[int, int, int]]) -> None:
    people = sorted(people)
    rows = np.eye(4, dtype=np.float32)
    labels = linked(*((t / 10, float(left), rows[kind]) for t, left, kind in people))
    assert len({(t, label) for (t, _, _), label in zip(people, labels, strict=True)}) == len(people)
