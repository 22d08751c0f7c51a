"""What is no video, or not a whole one, ends in one clear line; unusual names just work."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("av")

import av
import cv2
from av.stream import Disposition
from clips import counting, indices, moving, refusal, write

from sfv_gym.errors import VideoError
from sfv_gym.registry import is_skill_name, skill_of_file
from sfv_gym.video import open_video, write_video


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_a_picture(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"picture{suffix}"
    cv2.imwrite(str(path), counting(1)[0])
    assert "a single picture" in refusal(path)
    assert capfd.readouterr().err == ""


def sound(path: Path, cover: np.ndarray | None = None) -> None:
    """Half a second of silence, with a cover or without."""
    with av.open(str(path), "w") as container:
        codec = "pcm_s16le" if path.suffix == ".wav" else "aac"
        stream = container.add_stream(codec, rate=44100)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        if cover is not None:
            picture = container.add_stream("mjpeg", rate=1)
            assert isinstance(picture, av.VideoStream)
            picture.height, picture.width = cover.shape[:2]
            picture.pix_fmt = "yuvj420p"
            picture.disposition = Disposition.attached_pic
            drawn = av.VideoFrame.from_ndarray(cover, format="rgb24")
            container.mux(picture.encode(drawn.reformat(format="yuvj420p")))
            container.mux(picture.encode(None))
        form = "s16" if codec == "pcm_s16le" else "fltp"
        kind = np.int16 if form == "s16" else np.float32
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 22050), kind), format=form, layout="mono")
        quiet.sample_rate = 44100
        container.mux(stream.encode(quiet))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("name", ["sound.wav", "sound.m4a", "sound.mp4"])
def test_sound_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    sound(path)
    assert "only sound" in refusal(path)


def test_an_empty_file_and_an_address(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "the file is empty" in refusal(tmp_path / "empty.mp4")
    with pytest.raises(VideoError, match="this is an address; download"):
        open_video("https://example.org/jump.mp4")
    with pytest.raises(VideoError, match="not an ordinary file"):
        open_video(os.devnull)


@pytest.mark.parametrize("name", ["x" * 300 + ".mp4", "zero\0byte.mp4"])
def test_impossible_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(VideoError, match=r"cannot be read|no such file"):
        open_video(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.mp4"
    write_video(path, counting(6), 30.0)
    path.chmod(0)
    assert "cannot be read: Permission denied" in refusal(path)


@pytest.mark.parametrize(
    "name", ["my first jump.mp4", "прыжок 跳.mp4", "take:1.mp4", "%03d.mp4", "-i.mp4", "JUMP.MP4"]
)
def test_unusual_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "plain.mp4", counting(6), 30.0)
    (tmp_path / "plain.mp4").rename(tmp_path / name)
    assert indices(list(open_video(name))) == list(range(6))


@pytest.mark.parametrize(
    ("file", "skill"),
    [("My first jump.mp4", "my_first_jump"), ("20260102_101530.mp4", "clip_20260102_101530"),
     ("прыжок 跳.mp4", "clip"), ("_run-2_.MOV", "run_2")],
)  # fmt: skip
def test_any_file_name_gives_a_skill(file: str, skill: str) -> None:
    assert skill_of_file(Path("clips") / file) == skill
    assert is_skill_name(skill)


def test_sound_with_a_cover_is_no_video(tmp_path: Path) -> None:
    sound(tmp_path / "album.mp4", cover=counting(1)[0])
    assert "only sound" in refusal(tmp_path / "album.mp4")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match="not an ordinary file"):
        open_video(tmp_path / "pipe.mp4")


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
def test_what_only_names_or_draws_pictures(tmp_path: Path, text: str) -> None:
    """A list of addresses is not followed."""
    (tmp_path / "list.mp4").write_text(text)
    assert "not a video" in refusal(tmp_path / "list.mp4")


# --- several streams -------------------------------------------------------------------------


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_still_before_the_video(tmp_path: Path, marked: bool, suffix: str) -> None:
    """A cover, marked as one or not, larger than the video."""
    path = tmp_path / f"cover{suffix}"
    with av.open(str(path), "w") as container:
        still = container.add_stream("mjpeg", rate=30)
        video = container.add_stream("libx264", rate=30)
        assert isinstance(still, av.VideoStream)
        assert isinstance(video, av.VideoStream)
        still.height, still.width, still.pix_fmt = 96, 128, "yuvj420p"
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        if marked:
            still.disposition = Disposition.attached_pic
        cover = av.VideoFrame.from_ndarray(np.full((96, 128, 3), 255, np.uint8), format="rgb24")
        container.mux(still.encode(cover.reformat(format="yuvj420p")))
        container.mux(still.encode(None))
        for t, frame in enumerate(counting(8)):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = t
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
    read = open_video(path)
    assert (read.width, read.height) == (64, 48)
    assert indices(read) == list(range(8))


# --- damage ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "libx264"), (".mkv", "libx264"),
                                               (".avi", "mjpeg"), (".flv", "flv")])  # fmt: skip
def test_half_a_file(
    tmp_path: Path, suffix: str, codec: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    whole = write(
        tmp_path / f"whole{suffix}",
        moving(40, width=256),
        codec=codec,
        pixels=pixels,
        container_options={"movflags": "+faststart"} if suffix == ".mp4" else {},
        options={"crf": "10"} if codec == "libx264" else {},
    )
    data = whole.read_bytes()
    half = tmp_path / f"half{suffix}"
    half.write_bytes(data[: len(data) // 2])
    capfd.readouterr()
    assert "frames can be read, the file is cut off or damaged" in refusal(half)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("every", [10, 250])
def test_damage_in_the_middle(
    tmp_path: Path, every: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """What comes after it is right from the next key picture on, and wrong until then."""
    path = write(
        tmp_path / "clip.mp4",
        moving(100, width=320, step=2.0),
        options={"g": str(every), "bf": "0"},
    )
    with av.open(str(path)) as container:
        at = [p.pos for p in container.demux(video=0) if p.pos is not None][55]
    data = bytearray(path.read_bytes())
    data[at : at + 40] = b"\xff" * 40
    path.write_bytes(data)
    capfd.readouterr()
    if every == 10:
        video = open_video(path)
        frames = list(video)
        assert 100 - 10 <= len(set(video.frames)) < 100
        assert len(frames) == 100, "what is lost is a hole, not time"
        assert any("damaged frames are left out" in note for note in video.notes)
    else:
        says = refusal(path)
        assert "of 100 frames can be read" in says
        good = float(says.rsplit(" ", 1)[1])
        assert len(open_video(path, end=good)) == pytest.approx(55, abs=1)
    assert capfd.readouterr().err == ""


def test_a_stream_recorded_from_the_middle(tmp_path: Path) -> None:
    """What comes before its first key picture is not there."""
    frames = counting(30)
    data = write(tmp_path / "a.ts", frames, options={"g": "10"}).read_bytes()
    (tmp_path / "b.ts").write_bytes(data[len(data) // 3 // 188 * 188 :])
    shown = indices(open_video(tmp_path / "b.ts"))
    assert shown == list(range(shown[0], 30))
    assert shown[0] % 10 == 0
