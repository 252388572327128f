"""Videos: frames, times, damaged files, and one frame read again."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personsearch.errors import ImageError
from personsearch.sources import open_source, read_frame, videos
from tests.helpers.pictures import gradient, greys, slow_down, turn_right, write_av, write_video


def levels(frames: Any) -> list[tuple[int, int]]:
    """Number of each frame, and the number that its grey tells."""
    return [(frame.frame, round(float(frame.pixels.mean()) / 4)) for frame in frames]


def test_a_video_gives_every_nth_frame_with_its_time(film: Path) -> None:
    source = open_source(film)
    (item,) = source.items
    assert source.roots == (item.image,) == (str(film),)
    assert item.is_video
    assert levels(item.frames()) == [(n, n) for n in range(25)]
    some = list(item.frames(every=10))
    assert levels(some) == [(0, 0), (10, 10), (20, 20)]
    assert [frame.time for frame in some] == [0, pytest.approx(1), pytest.approx(2)]
    assert some[0].pixels.shape == (48, 64, 3)
    assert item.fingerprint() == hashlib.sha256(film.read_bytes()).hexdigest()


def test_a_video_comes_in_rgb(tmp_path: Path) -> None:
    write_video(tmp_path / "red.avi", [np.full((48, 64, 3), (200, 40, 0), np.uint8)])
    (frame,) = open_source(tmp_path / "red.avi").items[0].frames()
    assert np.array_equal(frame.pixels, np.full((48, 64, 3), (200, 40, 0)))


def test_skipped_frames_are_not_converted(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = []
    convert = videos._pixels
    monkeypatch.setattr(videos, "_pixels", lambda frame: converted.append(frame) or convert(frame))  # type: ignore[func-returns-value]
    assert levels(open_source(film).items[0].frames(every=5, skip={0, 10, 11})) == [(5, 5), (15, 15), (20, 20)]
    assert len(converted) == 3


def test_without_timestamps_the_frame_rate_tells_the_time(tmp_path: Path) -> None:
    write_av(tmp_path / "raw.h264", greys(25), codec="libx264", options={"bf": "0"})
    frames = list(open_source(tmp_path / "raw.h264").items[0].frames(every=12))
    assert [frame.time for frame in frames] == [0, pytest.approx(0.48), pytest.approx(0.96)]  # 25 a second, if none is written
    assert np.array_equal(read_frame(str(tmp_path / "raw.h264"), 12, frames[1].time), frames[1].pixels)


def test_a_cut_off_video_gives_its_readable_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mkv", greys(25))
    data = (tmp_path / "film.mkv").read_bytes()
    (tmp_path / "film.mkv").write_bytes(data[: len(data) // 2])
    read = levels(open_source(tmp_path / "film.mkv").items[0].frames())
    assert 5 < len(read) < 20
    assert read == [(n, n) for n in range(len(read))]


def test_an_mp4_without_its_end_cannot_be_read(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", greys(25), codec="mp4v")
    data = (tmp_path / "film.mp4").read_bytes()
    (tmp_path / "film.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"film.mp4: cannot be read as a video; re-encode it as H.264 mp4"):
        next(open_source(tmp_path / "film.mp4").items[0].frames())


def test_a_video_without_a_readable_frame_is_an_error(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", greys(25), codec="mp4v")
    data = (tmp_path / "film.mp4").read_bytes()
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    (tmp_path / "film.mp4").write_bytes(data[:start] + bytes(end - start) + data[end:])
    with pytest.raises(ImageError, match=r"film.mp4: no frame of this video can be read; re-encode it"):
        next(open_source(tmp_path / "film.mp4").items[0].frames())


def test_a_phone_video_comes_upright(tmp_path: Path) -> None:
    write_video(tmp_path / "phone.mp4", [gradient(48, 64)] * 3, codec="mp4v")
    turn_right(tmp_path / "phone.mp4")
    pixels = next(open_source(tmp_path / "phone.mp4").items[0].frames()).pixels
    assert pixels.shape == (64, 48, 3)
    # a lossy codec; turned any other way, half the picture would differ by more than 100
    assert np.abs(pixels.astype(int) - np.rot90(gradient(48, 64), -1)).mean() < 5


def test_a_frame_is_read_again_when_the_frame_rate_changes(tmp_path: Path) -> None:
    """Seeking by number would show another frame from 18 on: OpenCV uses the mean rate."""
    path = tmp_path / "phone.mp4"
    write_video(path, greys(60), codec="mp4v")
    slow_down(path, after=30, factor=5)
    frames = list(open_source(path).items[0].frames())
    assert [frame.time for frame in frames[28:34]] == [pytest.approx(time) for time in (2.8, 2.9, 3.0, 3.5, 4.0, 4.5)]
    for frame in frames[::9]:
        assert np.array_equal(read_frame(str(path), frame.frame, frame.time), frame.pixels)
        assert np.array_equal(read_frame(str(path), frame.frame), frame.pixels)


def test_a_frame_late_in_a_video_is_read_without_reading_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "film.avi", greys(60))
    decoded = []
    seconds = videos._Reading.seconds
    monkeypatch.setattr(videos._Reading, "seconds", lambda self, *a, **o: decoded.append(1) or seconds(self, *a, **o))
    assert (read_frame(str(tmp_path / "film.avi"), 55, 5.5) == 220).all()
    assert len(decoded) <= 10  # half a second before and the frame, and what the container adds


def test_a_missing_frame_is_an_error(film: Path) -> None:
    with pytest.raises(ImageError, match="has no frame 25"):
        read_frame(str(film), 25)
    with pytest.raises(ImageError, match="has no frame 99"):
        read_frame(str(film), 99, 9.9)
    film.unlink()
    for image in (film, film.with_suffix(".jpg")):
        with pytest.raises(ImageError, match="No such file"):
            read_frame(str(image), 3)
