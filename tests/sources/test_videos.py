"""Videos: frames, times, damaged files, and one frame read again."""

import hashlib
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from personsearch.errors import ImageError
from personsearch.sources import open_source, read_at, read_frame, videos
from tests.helpers.pictures import gradient, greys, slow_down, turn_right, write_av, write_video

B_FRAMES = {"x264-params": "bframes=3:b-adapt=0"}  # every other B-frame is needed by none


def moving(count: int) -> list[Any]:
    """Frames of a pattern that moves: x264 makes no B-frames of noise."""
    pattern = np.random.default_rng(0).integers(0, 256, (48, 64 + 2 * count, 3), dtype=np.uint8)
    return [np.ascontiguousarray(pattern[:, 2 * number : 2 * number + 64]) for number in range(count)]


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


@pytest.mark.parametrize(("codec", "name"), [("FFV1", "film.avi"), ("mp4v", "film.mp4"), ("libx264", "film.mkv"), ("libx264", "film.ts")])
def test_the_frame_shown_at_a_time_is_found_with_its_number(tmp_path: Path, codec: str, name: str) -> None:
    path = tmp_path / name
    if codec.startswith("lib"):
        write_av(path, greys(60), codec=codec)
    else:
        write_video(path, greys(60), codec=codec)
    frames = list(open_source(path).items[0].frames())
    for time, number in ((0, 0), (0.05, 0), (0.1, 1), (1.7, 17), (3.19, 31), (5.99, 59)):
        shown = read_at(str(path), time)
        assert (shown.frame, shown.time) == (number, frames[number].time)
        assert np.array_equal(shown.pixels, frames[number].pixels)
    with pytest.raises(ImageError, match=r"has no frame at 7 s, its last frame is at 5.90 s"):
        read_at(str(path), 7)


def test_a_copy_broken_off_says_how_much_was_read(tmp_path: Path) -> None:
    """37 of 100 frames were reported as the whole video."""
    noise = list(np.random.default_rng(0).integers(0, 256, (100, 48, 64, 3), dtype=np.uint8))
    write_av(tmp_path / "whole.mp4", noise, codec="libx264", movflags="faststart")
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "copy.mp4").write_bytes(data[: len(data) * 4 // 10])
    whole, copy = (open_source(tmp_path / name).items[0].frames() for name in ("whole.mp4", "copy.mp4"))
    assert (whole.total, copy.total) == (None, None)  # the file is opened for the first frame
    read = len(list(copy))
    assert 30 < read < 45
    assert copy.total == 100
    assert re.fullmatch(rf"({read}|{read - 1}) of 100 frames; it ends after \d\.\d of 10\.0 s", copy.partly_read)
    assert len(list(whole)) == whole.total == 100
    assert whole.partly_read == ""


@pytest.mark.parametrize("name", ["film.mkv", "film.avi", "film.flv"])
def test_any_container_with_a_length_says_that_it_was_cut_off(tmp_path: Path, name: str) -> None:
    noise = list(np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), dtype=np.uint8))
    write_av(tmp_path / name, noise, codec="flv" if name.endswith("flv") else "mpeg4")
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    frames = open_source(tmp_path / name).items[0].frames(every=5)
    read = len(list(frames))
    assert 2 < read < 9
    assert re.search(r"^\d\d of 60 frames; it ends after \d\.\d of (6\.0|5\.9|3\.0) s$", frames.partly_read)
    assert frames.total == 12


def test_a_hole_in_a_video_is_reported(tmp_path: Path) -> None:
    noise = list(np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), dtype=np.uint8))
    write_av(tmp_path / "film.mp4", noise, codec="libx264")
    data = bytearray((tmp_path / "film.mp4").read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    (tmp_path / "film.mp4").write_bytes(data)
    frames = open_source(tmp_path / "film.mp4").items[0].frames()
    assert len(list(frames)) > 20
    assert re.fullmatch(r"\d\d of 60 frames; \d+ damaged places", frames.partly_read)


@pytest.mark.parametrize(
    ("name", "codec", "kind"),
    [
        ("CAMERA.MTS", "libx264", "mpegts"),
        ("film.ts", "libx264", "mpegts"),
        ("film.m2ts", "libx264", "mpegts"),
        ("film.flv", "flv", "flv"),
        ("film", "mpeg4", "mp4"),
        ("film.dat", "mpeg2video", "mpeg"),
        ("film.bin", "mpeg4", "matroska"),
        ("film.vob", "mpeg2video", "vob"),
        ("film.ogv", "libvpx", "ogg"),
        ("film.wmv", "wmv2", "asf"),
        ("film.xyz", "mpeg4", "nut"),
        ("film.3gp", "mpeg4", "3gp"),
    ],
)
def test_a_video_is_known_by_its_content(tmp_path: Path, name: str, codec: str, kind: str) -> None:
    """A camera's .MTS was passed over in a folder without a word, and called no picture alone."""
    rate = 25  # MPEG-2 knows no 10
    write_av(tmp_path / name, greys(30), codec=codec, kind=kind, rate=rate)
    (tmp_path / "program.ts").write_text("export const a = 1;\n" * 50)
    (item,) = open_source(tmp_path).items
    assert item.is_video
    frames = list(item.frames(every=10))
    assert [frame.frame for frame in frames] == [0, 10, 20]
    assert [frame.pixels.mean() for frame in frames] == pytest.approx([0, 40, 80], abs=8)  # lossy codecs
    assert [frame.time for frame in frames] == pytest.approx([0, 0.4, 0.8], abs=0.002)


def test_a_video_in_memory_is_read(tmp_path: Path) -> None:
    write_av(tmp_path / "film.mp4", greys(20), codec="mpeg4")
    for content in ((tmp_path / "film.mp4").read_bytes(), (tmp_path / "film.mp4").open("rb")):
        (item,) = open_source(content).items
        assert item.is_video
        frames = list(item.frames(every=5))
        assert [frame.frame for frame in frames] == [0, 5, 10, 15]
        assert [frame.pixels.mean() for frame in frames] == pytest.approx([0, 20, 40, 60], abs=8)


@pytest.mark.parametrize("text", ["#EXTM3U\n#EXTINF:1,\nsecret.mp4\n", "ffconcat version 1.0\nfile secret.mp4\n"])
@pytest.mark.parametrize("name", ["list.mp4", "list.dat"])
def test_a_list_of_other_files_does_not_open_them(tmp_path: Path, text: str, name: str) -> None:
    write_av(tmp_path / "secret.mp4", greys(5), codec="mpeg4")
    (tmp_path / name).write_text(text)
    with pytest.raises(ImageError):
        list(open_source(tmp_path / name).items[0].frames())


def test_an_audio_file_with_a_cover_is_not_a_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song.m4a"), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ImageError, match="cannot be read as a video"):
        list(open_source(tmp_path / "song.m4a").items[0].frames())


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_frames_that_no_wanted_frame_needs_are_not_decoded(tmp_path: Path, name: str) -> None:
    write_av(tmp_path / name, moving(40), codec="libx264", options=B_FRAMES)
    (item,) = open_source(tmp_path / name).items
    everything = list(item.frames())
    frames = item.frames(every=6, skip={12, 13})
    some = list(frames)
    assert [frame.frame for frame in some] == [0, 6, 18, 24, 30, 36]
    for frame in some:  # the same numbers, times and pixels
        assert frame.time == everything[frame.frame].time
        assert np.array_equal(frame.pixels, everything[frame.frame].pixels)
    assert frames.decoded == 40
    assert not frames.partly_read
    assert passed_over(tmp_path / name, every=6) > 5


def passed_over(path: Path, every: int) -> int:
    """Number of frames that the decoder did not give."""
    with videos._opened(str(path), str(path)) as (container, stream):
        reading = videos._Reading(container, stream)
        numbers = videos._frame_numbers(str(path), str(path))
        reading.choose(numbers, {pts for pts, number in numbers.items() if number % every == 0})
        return len(numbers) - len(list(reading.frames()))


def test_a_cut_off_video_with_frames_passed_over_says_what_is_missing(tmp_path: Path) -> None:
    write_av(tmp_path / "film.mkv", moving(60), codec="libx264", options=B_FRAMES)
    data = (tmp_path / "film.mkv").read_bytes()
    (tmp_path / "film.mkv").write_bytes(data[: len(data) // 2])
    item = open_source(tmp_path / "film.mkv").items[0]
    whole, some = item.frames(), item.frames(every=5)
    numbers = [frame.frame for frame in whole]
    assert [frame.frame for frame in some] == numbers[::5]
    pattern = r"(\d\d) of 60 frames; it ends after (\d\.\d) of [36]\.0 s"
    (all_read, ends), (read, end) = (re.fullmatch(pattern, frames.partly_read).groups() for frames in (whole, some))
    assert end == ends
    assert abs(int(read) - int(all_read)) <= 1


def test_packets_that_do_not_tell_the_frames_leave_none_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_av(tmp_path / "film.mp4", greys(30), codec="libx264", options=B_FRAMES)
    monkeypatch.setattr(videos, "_frame_numbers", lambda image, content: {})
    assert levels(open_source(tmp_path / "film.mp4").items[0].frames(every=10)) == [(0, 0), (10, 10), (20, 20)]
