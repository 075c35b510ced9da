import numpy as np
import pytest

from faceedit.circumplex import Affect, named_emotion
from faceedit.editing.paths import parse_path, path_targets
from faceedit.errors import UsageError


def test_paths_are_a_circle_emotions_or_points():
    assert parse_path("circle") == []
    assert parse_path("happy, surprised") == [named_emotion("happy"), named_emotion("surprised")]
    assert parse_path("0,0 0.8,-0.2") == [Affect(0, 0), Affect(0.8, -0.2)]
    for text in ("", "happy", "0,0", "0,0 x,1", "0 1", "0,0 2,0", "happy,hungry", "1,2,3 0,0"):
        with pytest.raises(UsageError):
            parse_path(text)


def test_a_looped_path_comes_back_without_a_jump_or_a_repeated_frame():
    for points in ([], [Affect(0, 0), Affect(0.6, 0.2), Affect(-0.5, 0.4)]):
        targets = path_targets(points, 120, loop=True)
        around = np.vstack([targets, targets[:1]])
        steps = np.linalg.norm(np.diff(around, axis=0), axis=1)
        assert steps[-1] < 2 * np.median(steps) + 1e-3
        assert not np.allclose(targets[0], targets[-1])
        assert steps.max() < 0.1


def test_between_two_emotions_a_face_shows_some_of_each():
    halfway = path_targets(parse_path("happy,afraid"), 3, loop=False)[1]
    assert halfway[2:].tolist() == pytest.approx([0, 0.5, 0, 0, 0.5, 0, 0, 0])


def test_a_path_begins_and_ends_at_its_ends():
    targets = path_targets([Affect(0, 0), Affect(0.6, 0.2), Affect(-0.5, 0.4)], 21, loop=False)
    assert targets[[0, 10, 20], :2].tolist() == pytest.approx(np.array([(0, 0), (0.6, 0.2), (-0.5, 0.4)]))
    with pytest.raises(UsageError, match="frames"):
        path_targets([], 1, loop=True)
