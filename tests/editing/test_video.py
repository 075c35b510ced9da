import numpy as np
import pytest

from faceedit.circumplex import Affect
from faceedit.editing.request import Request
from faceedit.editing.video import edited_frames, follow, smooth_track
from faceedit.errors import NoFaceError
from tests.conftest import FILM_SIDE, face_at, film_place


class FilmDetector:
    """Finds the two faces of the film, in turns in this and that order, the moving one with a jitter."""

    def __init__(self, hidden=()):
        self.index, self.hidden = -1, hidden

    def detect(self, image, largest=False):
        self.index += 1
        if self.index in self.hidden:
            return []
        x, y = film_place(self.index)
        faces = [face_at(x + (-1) ** self.index, y, FILM_SIDE), face_at(175, 50, 40)]
        return faces if self.index % 3 == 0 else faces[::-1]


def test_one_face_is_followed_among_others_and_smoothly(clip, tiny_editor):
    tiny_editor.detector = FilmDetector()
    track = follow(tiny_editor, clip, "largest", clip)
    assert (track.strength == 1).all()
    middles = track.landmarks.mean(1)[:, 0]
    truth = np.array([face_at(*film_place(i), FILM_SIDE).landmarks.mean(0)[0] for i in range(24)])
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
        x, y = film_place(index)
        outside = np.ones(before.shape[:2], bool)
        outside[y - 6 : y + FILM_SIDE + 6, x - 6 : x + FILM_SIDE + 6] = False
        assert (before[outside] == after[outside]).all()
        assert (before != after).any()
    detector, alone = FilmDetector(), []
    for frame in frames:
        face = min(detector.detect(frame), key=lambda found: found.box[0])
        alone.append(tiny_editor.edit_face(frame, tiny_editor.encode(frame, face), Affect(0.9, 0.4)))
    assert flicker(edited) < 0.6 * flicker(alone)


def flicker(frames) -> float:
    """How much the moving face differs from frame to frame."""
    faces = [frame[y : y + FILM_SIDE, x : x + FILM_SIDE] for i, frame in enumerate(frames) for x, y in [film_place(i)]]
    return np.abs(np.diff(np.stack(faces).astype(float), axis=0)).mean()
