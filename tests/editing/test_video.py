from dataclasses import replace

import cv2
import numpy as np
import pytest

from faceedit.circumplex import Affect
from faceedit.editing import video
from faceedit.editing.compositing import rows_below
from faceedit.editing.target import Request
from faceedit.editing.tracking import STILL, Track, follow, smooth_track
from faceedit.editing.video import edited_frames
from faceedit.errors import ExistsError, NoFaceError, UsageError
from faceedit.faces.detector import FaceDetector
from faceedit.media.image import read_photo
from faceedit.media.video import open_video
from tests.conftest import ASTRONAUT, FILM_SIDE, draw_face, face_at, film_place


class FilmDetector:
    """Finds the two faces of the film, in turns in this and that order, the moving one with a jitter."""

    def __init__(self, hidden=()):
        self.index, self.hidden = -1, hidden

    def probability(self, image, box):
        return 0.0  # nothing is followed: faces are found in each frame

    def detect(self, image, largest=False):
        self.index += 1
        if self.index in self.hidden:
            return []
        x, y = film_place(self.index)
        faces = [face_at(x + (-1) ** self.index, y, FILM_SIDE), face_at(175, 50, 40)]
        return faces if self.index % 3 == 0 else faces[::-1]


def test_one_face_is_followed_among_others_and_smoothly(clip, tiny_editor):
    tiny_editor.detector = FilmDetector()
    track = follow(tiny_editor, clip, clip.fps, "largest")
    assert (track.strength == 1).all()
    middles = track.landmarks.mean(1)[:, 0]
    truth = np.array([face_at(*film_place(i), FILM_SIDE).landmarks.mean(0)[0] for i in range(24)])
    assert np.abs(middles - truth)[3:-3].max() < 1  # and not the other face, whichever is found first
    assert np.abs(np.diff(middles, n=2)).mean() < 0.5 * 4  # the detector's jitter alone gives 4


def test_short_gaps_are_bridged_and_edits_fade_in_and_out(clip, tiny_editor):
    tiny_editor.detector = FilmDetector(hidden=(3, 4))
    assert (follow(tiny_editor, clip, clip.fps, "largest").strength == 1).all()
    faces = [None] * 4 + [face_at(0, 0, 10)] * 10 + [None] * 10
    strength = smooth_track(faces, np.zeros((24, 2)), 12.0).strength
    assert (strength[:4] == 0).all()
    assert (strength[14:] == 0).all()
    assert 0 < strength[4] < strength[5] < strength[8] == 1
    tiny_editor.detector = FilmDetector(hidden=range(100))
    with pytest.raises(NoFaceError, match="video"):
        follow(tiny_editor, clip, clip.fps, "largest")


def test_frames_are_edited_at_the_face_alone_and_flicker_less_than_one_by_one(clip, tiny_editor):
    tiny_editor.detector = FilmDetector()
    frames = list(clip)
    track = follow(tiny_editor, frames, clip.fps, "largest")
    edited = list(edited_frames(tiny_editor, frames, track, Request(0.9, 0.4)))
    for index, (before, after) in enumerate(zip(frames, edited, strict=True)):
        x, y = film_place(index)
        outside = np.ones(before.shape[:2], bool)
        # Where jaws drop to, too.
        outside[y - 6 : y + FILM_SIDE + rows_below(FILM_SIDE) + 6, x - 6 : x + FILM_SIDE + 6] = False
        assert (before[outside] == after[outside]).all()
        assert (before != after).any()
    detector, alone = FilmDetector(), []
    for frame in frames:
        face = min(detector.detect(frame), key=lambda found: found.box[0])
        alone.append(tiny_editor.edit_face(frame, tiny_editor.encode(frame, face), Affect(0.9, 0.4)))
    assert flicker(edited) < 0.6 * flicker(alone)


def test_a_video_is_edited_from_python_as_by_the_command(clip, tiny_editor, tmp_path):
    tiny_editor.detector = FilmDetector()
    output = tmp_path / "edited.mp4"
    edited = tiny_editor.edit_video(clip.path, output, Request(0.9, 0.4))
    assert (edited.path, edited.frames, edited.edited_frames, edited.target) == (output, 24, 24, Affect(0.9, 0.4))
    assert str(edited).endswith("on average → valence +0.90, arousal +0.40")
    moved = [np.abs(after.astype(int) - before).mean() for after, before in zip(open_video(output), clip, strict=True)]
    assert min(moved) > 0.5
    tiny_editor.detector = FilmDetector(hidden=range(100))  # which nothing that is refused asks
    for refused, arguments in (
        (ExistsError, (output, Request(0.9, 0.4))),
        (UsageError, (tmp_path / "edited.avi", Request(0.9, 0.4))),
        (UsageError, (tmp_path / "all.mp4", Request(0.9, 0.4), "all")),
        (UsageError, (tmp_path / "none.mp4", Request(0.9, 0.4), 0)),
    ):
        with pytest.raises(refused):
            tiny_editor.edit_video(str(clip.path), *arguments)
    assert tiny_editor.detector.index == -1
    with pytest.raises(NoFaceError):
        tiny_editor.edit_video(clip.path, output, Request(0.9, 0.4), overwrite=True)
    assert open_video(output).frames == 24
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "edited.mp4"}


def test_folds_are_found_again_where_the_face_moves_or_the_scene_is_cut(clip, tiny_editor, monkeypatch):
    frames, asked = [next(iter(clip))] * 7, []
    landmarks = np.stack([tiny_editor.landmark_finder.find(draw_face(96).copy())] * 7)
    landmarks[4:] += 2 * STILL
    track = Track(np.stack([face_at(*film_place(0), FILM_SIDE).landmarks] * 7), np.zeros((7, 2)), np.ones(7), None)
    encode = tiny_editor.backend.encode

    def asking(crop, fine, source, points, still=None):
        asked.append(still is not None)
        return encode(crop, fine, source, points, still)

    monkeypatch.setattr(tiny_editor.backend, "encode", asking)
    monkeypatch.setattr("faceedit.pool.os.cpu_count", lambda: 1)  # frames are begun in their order
    for cut in (None, 2):
        waiting = iter(landmarks)
        monkeypatch.setattr(tiny_editor.landmark_finder, "find", lambda crop, waiting=waiting: next(waiting))
        list(edited_frames(tiny_editor, frames, replace(track, cut=np.arange(7) == cut), Request(0.9, 0.4)))
    # Of five frames that one thread begins, the fifth differs from the first; a cut makes another one the first.
    assert asked == [False, True, True, True, False, False, True, False, True, False, True, False, False, True]


def test_of_large_frames_fewer_are_held_at_a_time(monkeypatch):
    frame = np.zeros((10, 20, 3), np.uint8)
    for pixels, counts in ((12_000_000, [5, 2]), (450, [2, 2, 2, 1]), (100, [1] * 7)):
        monkeypatch.setattr(video, "FEW_PIXELS", pixels)
        parts = list(video._in_parts([frame] * 7))
        assert [len(part) for part in parts] == counts
        assert [index for part in parts for index, _ in part] == list(range(7))


def flicker(frames) -> float:
    """How much the moving face differs from frame to frame."""
    faces = [frame[y : y + FILM_SIDE, x : x + FILM_SIDE] for i, frame in enumerate(frames) for x, y in [film_place(i)]]
    return np.abs(np.diff(np.stack(faces).astype(float), axis=0)).mean()


def person(seed: int) -> np.ndarray:
    """A face of 60 pixels that looks like no other."""
    noise = np.random.default_rng(seed).uniform(0, 255, (6, 6, 3))
    return cv2.resize(noise, (60, 60), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


class People(FilmDetector):
    """Finds those who are in the frames of a scene, one list of (person, x, y) a frame."""

    def __init__(self, scenes):
        self.scenes = scenes
        self.index = -1

    def frames(self):
        for people, shade in self.scenes:
            frame = np.full((200, 400, 3), shade, np.uint8)
            for seed, x, y in people:
                frame[y : y + 60, x : x + 60] = person(seed)
            yield frame

    def detect(self, image, largest=False):
        self.index += 1
        return [face_at(x, y, 60 + seed / 100) for seed, x, y in self.scenes[self.index][0]]


def followed(clip, editor, scenes):
    editor.detector = People(scenes)
    return follow(editor, editor.detector.frames(), clip.fps, "largest")


def settled(editor, scene):
    """The landmarks by which the first face of a scene is aligned."""
    (frame,) = People([scene]).frames()
    return editor.landmark_finder.settled(frame, People([scene, scene]).detect(frame)[0]).landmarks


def test_the_same_person_is_found_again_after_leaving_and_among_others(clip, tiny_editor):
    away = [([(1, 30, 30)], 90)] * 16  # 1 is there, and stays: only 2 is followed
    back = [([(1, 30, 30), (2, 300, 120)], 90)] * 12
    track = followed(clip, tiny_editor, [([(2, 200, 30), (1, 30, 30)], 90)] * 12 + away + back)
    assert (track.strength[:9] == 1).all()
    assert (track.strength[13:28] == 0).all()
    assert 0 < track.strength[28] < 1  # the edit fades in
    assert (track.strength[32:] == 1).all()
    assert np.abs(track.landmarks[35] - settled(tiny_editor, ([(2, 300, 120)], 90))).max() < 1
    assert not track.cut.any()


def test_a_cut_is_no_reason_to_fade_and_nobody_else_is_edited_behind_it(clip, tiny_editor):
    first, other, again = [([(2, 200, 30)], 90)] * 10, [([(1, 200, 30)], 220)] * 10, [([(2, 100, 90)], 90)] * 10
    track = followed(clip, tiny_editor, first + other + again)
    assert np.flatnonzero(track.cut).tolist() == [10, 20]
    assert track.strength.tolist() == [1] * 10 + [0] * 10 + [1] * 10
    assert np.abs(track.landmarks[9] - settled(tiny_editor, first[0])).max() < 1  # not smoothed across
    assert np.abs(track.landmarks[20] - settled(tiny_editor, again[0])).max() < 1


def test_a_real_face_is_followed_without_being_found_in_each_frame(clip, tiny_editor):
    """A photo that moves, turns and grows: the landmarks go with it, and what hides the face ends it."""
    image = read_photo(ASTRONAUT).pixels
    detector = FaceDetector()
    (face, *_) = detector.detect(image)
    sought = []

    class Counting:
        probability = staticmethod(detector.probability)

        def detect(self, frame, largest=False):
            sought.append(len(sought))
            return detector.detect(frame)

    tiny_editor.detector = Counting()
    step = np.array([[0, 0, 6], [0, 0, 3]])
    moves = [cv2.getRotationMatrix2D((225, 110), i, 1 + i / 100) + i * step for i in range(16)]
    frames = [cv2.warpAffine(image, move, (512, 320), borderMode=cv2.BORDER_REFLECT) for move in moves]
    hidden = [frame.copy() for frame in frames[-3:]]
    for frame in hidden:
        frame[:] = cv2.blur(frame, (90, 90))
    track = follow(tiny_editor, frames + hidden, clip.fps, "largest")
    settled = tiny_editor.landmark_finder.settled(image, face).landmarks
    wanted = np.stack([cv2.transform(settled[None], move)[0] for move in moves])
    eyes = np.hypot(*(face.landmarks[1] - face.landmarks[0]))
    assert len(sought) == 1 + len(hidden)
    assert np.abs(track.landmarks[2:14] - wanted[2:14]).mean() < 0.04 * eyes
    assert (track.strength[:10] == 1).all()
    assert (track.strength[16:] == 0).all()
