import shutil
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceedit import video
from faceedit.circumplex import Affect
from faceedit.editing.request import Request
from faceedit.errors import NoFaceError, UnreadableError
from faceedit.media.provenance import COMPOSITE, Provenance, from_xmp, read_embedded, to_xmp
from faceedit.video import edited_frames, follow, open_video, smooth_track, write_video
from tests.conftest import draw_face, face_at

SIDE = 60


def place(index: int) -> tuple[int, int]:
    return 20 + 2 * index, 30


def film(count: int = 24) -> list[np.ndarray]:
    """A drawn face that moves to the right, and another that stays."""
    frames = []
    for index in range(count):
        frame = np.full((121, 221, 3), 90, np.uint8)
        frame[50:90, 175:215] = draw_face(40, -0.5)
        x, y = place(index)
        frame[y : y + SIDE, x : x + SIDE] = draw_face(SIDE, 0.5)
        frames.append(frame)
    return frames


class FilmDetector:
    """Finds the two faces of the film, in turns in this and that order, the moving one with a jitter."""

    def __init__(self, hidden=()):
        self.index, self.hidden = -1, hidden

    def detect(self, image):
        self.index += 1
        if self.index in self.hidden:
            return []
        x, y = place(self.index)
        faces = [face_at(x + (-1) ** self.index, y, SIDE), face_at(175, 50, 40)]
        return faces if self.index % 3 == 0 else faces[::-1]


@pytest.fixture
def clip(tmp_path):
    write_video(tmp_path / "clip.mp4", film(), 12.0)
    return open_video(tmp_path / "clip.mp4")


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


def test_one_face_is_followed_among_others_and_smoothly(clip, tiny_editor):
    tiny_editor.detector = FilmDetector()
    track = follow(tiny_editor, clip, "largest", clip)
    assert (track.strength == 1).all()
    middles = track.landmarks.mean(1)[:, 0]
    truth = np.array([face_at(*place(i), SIDE).landmarks.mean(0)[0] for i in range(24)])
    assert np.abs(middles - truth)[3:-3].max() < 1  # and not the other face, whichever is found first
    assert np.abs(np.diff(middles, n=2)).mean() < 0.5 * 4  # the detector's jitter alone gives 4


def test_short_gaps_are_bridged_and_edits_fade_in_and_out(clip, tiny_editor):
    tiny_editor.detector = FilmDetector(hidden=(3, 4))
    assert (follow(tiny_editor, clip, "largest", clip).strength == 1).all()
    faces = [None] * 4 + [face_at(0, 0, 10)] * 10 + [None] * 10
    strength = smooth_track(faces, np.zeros((24, 2)), 12.0).strength
    assert (strength[:4] == 0).all()
    assert (strength[14:] == 0).all()
    assert 0 < strength[4] < strength[5] < strength[8] == 1
    tiny_editor.detector = FilmDetector(hidden=range(100))
    with pytest.raises(NoFaceError, match="video"):
        follow(tiny_editor, clip, "largest", clip)


def test_frames_are_edited_at_the_face_alone_and_flicker_less_than_one_by_one(clip, tiny_editor):
    tiny_editor.detector = FilmDetector()
    frames = list(clip)
    track = follow(tiny_editor, clip, "largest", frames)
    edited = list(edited_frames(tiny_editor, frames, track, Request(0.9, 0.4)))
    for index, (before, after) in enumerate(zip(frames, edited, strict=True)):
        x, y = place(index)
        outside = np.ones(before.shape[:2], bool)
        outside[y - 6 : y + SIDE + 6, x - 6 : x + SIDE + 6] = False
        assert (before[outside] == after[outside]).all()
        assert (before != after).any()
    detector, alone = FilmDetector(), []
    for frame in frames:
        face = min(detector.detect(frame), key=lambda found: found.box[0])
        alone.append(tiny_editor.edit_face(frame, tiny_editor.encode(frame, face), Affect(0.9, 0.4)))
    assert flicker(edited) < 0.6 * flicker(alone)


def flicker(frames) -> float:
    """How much the moving face differs from frame to frame."""
    faces = [frame[y : y + SIDE, x : x + SIDE] for i, frame in enumerate(frames) for x, y in [place(i)]]
    return np.abs(np.diff(np.stack(faces).astype(float), axis=0)).mean()


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
