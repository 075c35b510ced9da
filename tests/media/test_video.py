import shutil
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceedit.errors import UnreadableError
from faceedit.media import video
from faceedit.media.provenance import COMPOSITE, Provenance, from_xmp, read_embedded, to_xmp
from faceedit.media.video import open_video, write_video
from tests.conftest import film


def test_a_video_is_read_as_it_was_written(clip):
    assert (clip.fps, clip.frames, clip.width, clip.height) == (12.0, 24, 220, 120)  # codecs halve: the odd ones go
    frames = list(clip)
    assert len(frames) == 24
    assert np.abs(frames[5].astype(int) - film()[5][:120, :220]).mean() < 6


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video" * 100)
    for path in (tmp_path / "a.mp4", tmp_path / "none.mp4", tmp_path):
        with pytest.raises(UnreadableError):
            open_video(path)


def test_a_video_says_what_was_done_in_it(tmp_path):
    packet = to_xmp(Provenance(COMPOSITE, "tiny", "ab" * 32, "one face"))
    write_video(tmp_path / "a.mp4", film(5), 12.0, packet)
    assert from_xmp(read_embedded(tmp_path / "a.mp4")).edits == "one face"
    assert len(list(open_video(tmp_path / "a.mp4"))) == 5


def test_without_ffmpeg_a_video_is_written_and_said_to_have_no_sound(tmp_path, monkeypatch):
    monkeypatch.setattr(video.shutil, "which", lambda name: None)
    assert not write_video(tmp_path / "a.mp4", film(5), 12.0)
    assert len(list(open_video(tmp_path / "a.mp4"))) == 5
    monkeypatch.setattr(cv2.VideoWriter, "isOpened", lambda self: False)
    with pytest.raises(UnreadableError, match="encoder"):
        write_video(tmp_path / "b.mp4", film(5), 12.0)
    assert not (tmp_path / "b.mp4").exists()


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """An ffmpeg on the PATH."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="there is no ffmpeg to test with")
    binary = tmp_path / "bin" / "ffmpeg"
    binary.parent.mkdir()
    binary.symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    monkeypatch.setenv("PATH", str(binary.parent), prepend=":")
    assert Path(shutil.which("ffmpeg")) == binary
    return binary


def test_with_ffmpeg_the_sound_is_kept(tmp_path, ffmpeg):
    write_video(tmp_path / "mute.mp4", film(), 12.0)
    tone = ["-f", "lavfi", "-i", "sine=frequency=440:duration=2", "-shortest", str(tmp_path / "clip.mp4")]
    subprocess.run([ffmpeg, "-v", "error", "-i", str(tmp_path / "mute.mp4"), *tone], check=True)
    assert write_video(tmp_path / "a.mp4", film(), 12.0, source=tmp_path / "clip.mp4")
    streams = subprocess.run([ffmpeg, "-i", str(tmp_path / "a.mp4")], capture_output=True, text=True).stderr
    assert "Audio: aac" in streams
    assert "Video: h264" in streams


def test_ctrl_c_leaves_no_ffmpeg_and_no_file(tmp_path, ffmpeg, monkeypatch):
    started, start = [], subprocess.Popen
    monkeypatch.setattr(
        video.subprocess, "Popen", lambda *args, **named: started.append(start(*args, **named)) or started[0]
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(tmp_path.iterdir())

    def interrupted():
        yield from film(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", interrupted(), 12.0)
    assert started[0].poll() is not None
    assert set(tmp_path.iterdir()) == before


def test_what_ffmpeg_refuses_is_one_error_and_no_file(tmp_path, ffmpeg):
    (tmp_path / "clip.mp4").write_bytes(b"junk")
    with pytest.raises(UnreadableError, match="ffmpeg"):
        write_video(tmp_path / "a.mp4", film(), 12.0, source=tmp_path / "clip.mp4")
    assert not (tmp_path / "a.mp4").exists()
