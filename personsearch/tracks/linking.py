"""Link the people of one video over time: who of the next frame is who of this one."""

from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array

REACH = 0.3  # heights of the person; a head may be this far from where it is expected, at once
SPEED = 1.5  # heights of the person a second; how much further for each second without the person
GROWTH = 2.0  # largest change of the height, as a factor
MEMORY = 0.8  # weight of the past in a track's appearance and motion
PLACE_WEIGHT = 0.5  # of the place, 0..1, beside the cosine
SURE = 0.95  # share of the different people of one frame that are less alike than two sightings of one track
SAMPLE = 1000  # about so many frames tell how alike different people are
UNSURE_COSINE = 0.5  # where no frame shows two people: the least cosine within a track
SAME_TIME = 0.0005  # seconds


@dataclass
class _Track:
    """One person, as seen last."""

    label: int
    frame: int
    time: float
    head: Array  # (2,) middle of the box's upper edge, pixels
    height: float
    motion: Array  # (2,) pixels a second
    appearance: Array  # (D,) unit row, or (0,)


def link(frames: Array, times: Array, boxes: Array, embeddings: Array, gap: float, every: int = 1, *, least: float | None = None) -> Array:
    """The track of each person of a video: equal numbers are one person in neighbouring frames.

    In each frame the people are assigned to the tracks that are still open, so that the sum of cosine and closeness is largest
    (scipy's `linear_sum_assignment`). Two people of one frame are never one track. A head is expected where the track's motion
    brings it. Two sightings of one track are more alike than nearly all pairs of people that share a frame of this video,
    so the bound follows the model and the size of the people.

    Args:
        frames: (N,) int, frame of each person, ascending.
        times: (N,) float, seconds, ascending; nan in frames without a time, which are linked to no other frame.
        boxes: (N, 4) xyxy pixels.
        embeddings: (N, D) float32 unit rows; D = 0 links by place alone.
        gap: Largest number of seconds between two sightings of one track.
        every: Step between the frames that were looked at; two of them in sequence are never too far apart.
        least: Cosine of two sightings of one track, as `least_cosine` gives it; None: that of these people.

    Returns:
        (N,) int labels from 0, in the order of the first sightings.
    """
    labels = np.zeros(len(frames), np.int64)
    least = least_cosine(frames, embeddings) if least is None else least
    tracks: list[_Track] = []
    count = 0
    for rows in _by_frame(frames):
        frame, time = int(frames[rows[0]]), float(times[rows[0]])
        tracks = [one for one in tracks if time - one.time <= gap + SAME_TIME or (frame - one.frame <= every and time >= one.time)]
        heads = np.stack([(boxes[rows, 0] + boxes[rows, 2]) / 2, boxes[rows, 1]], axis=1)
        heights = np.maximum(boxes[rows, 3] - boxes[rows, 1], 1e-3)
        assigned = _assign(tracks, heads, heights, embeddings[rows], time, least)
        for i, row in enumerate(rows.tolist()):
            track = assigned.get(i)
            if track is None:
                track = _Track(count, frame, time, heads[i], float(heights[i]), np.zeros(2), embeddings[row])
                tracks.append(track)
                count += 1
            else:
                _update(track, frame, time, heads[i], float(heights[i]), embeddings[row])
            labels[row] = track.label
    return labels


def _by_frame(frames: Array) -> list[Array]:
    """The rows of each frame, in order."""
    return np.split(np.arange(len(frames)), np.flatnonzero(np.diff(frames)) + 1) if len(frames) else []


def _assign(tracks: list[_Track], heads: Array, heights: Array, embeddings: Array, time: float, least: float) -> dict[int, _Track]:
    """The open track of each person of a frame; people of a new track are left out."""
    from scipy.optimize import linear_sum_assignment  # slow to import, and only videos need it

    if not tracks:
        return {}
    seconds = np.array([time - track.time for track in tracks])
    expected = np.array([track.head for track in tracks]) + seconds[:, None] * np.array([track.motion for track in tracks])
    sizes = np.array([track.height for track in tracks])[:, None]
    distance = np.linalg.norm(expected[:, None] - heads[None], axis=2) / np.maximum(sizes, heights)
    closeness = 1 - distance / (REACH + SPEED * seconds[:, None])
    cosine = np.array([track.appearance for track in tracks]) @ embeddings.T
    growth = np.maximum(sizes / heights, heights / sizes)
    possible = (closeness >= 0) & (growth <= GROWTH) & ((cosine >= least) if embeddings.shape[1] else True)
    gain = np.where(possible, PLACE_WEIGHT * closeness + cosine + 2, 0.0)
    return {int(i): tracks[t] for t, i in zip(*linear_sum_assignment(gain, maximize=True), strict=True) if possible[t, i]}


def _update(track: _Track, frame: int, time: float, head: Array, height: float, embedding: Array) -> None:
    seconds = time - track.time
    if seconds > 0:
        track.motion = MEMORY * track.motion + (1 - MEMORY) * (head - track.head) / seconds
    appearance = MEMORY * track.appearance + (1 - MEMORY) * embedding
    track.appearance = appearance / max(float(np.linalg.norm(appearance)), 1e-6)
    track.frame, track.time, track.head, track.height = frame, time, head, height


def least_cosine(frames: Array, embeddings: Array) -> float:
    """The cosine that two sightings of one track reach: that of the most similar people who share a frame, but for a few.

    Args:
        frames: (N,) int, frame of each person of a video, ascending.
        embeddings: (N, D) float32 unit rows.
    """
    groups = [rows for rows in _by_frame(frames) if len(rows) > 1]
    different = []
    for rows in groups[:: max(1, len(groups) // SAMPLE)]:
        cosines = embeddings[rows] @ embeddings[rows].T
        different.append(cosines[np.triu_indices(len(rows), 1)])
    return float(np.quantile(np.concatenate(different), SURE)) if different else UNSURE_COSINE
