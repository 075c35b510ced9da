import math
from itertools import pairwise

import numpy as np
import pytest

from faceedit.circumplex import Affect, Support, affect_grid, grid_axis
from faceedit.errors import UsageError


@pytest.mark.parametrize("values", [(1.01, 0), (0, -1.01), (float("nan"), 0), (0, float("inf"))])
def test_affect_outside_the_plane_is_refused(values):
    with pytest.raises(UsageError, match="must be a number between -1 and 1"):
        Affect(*values)


def test_grid_reads_like_the_plane():
    grid = affect_grid(grid_axis()).reshape(7, 7, 2)
    assert grid[0, 0].tolist() == [-0.75, 0.75]  # top left: unpleasant, excited
    assert grid[6, 6].tolist() == [0.75, -0.75]  # bottom right: pleasant, calm
    assert grid[3, 3].tolist() == [0, 0]


@pytest.mark.parametrize(("steps", "extent"), [(0, 0.5), (42, 0.5), (7, 0), (7, 1.1), (7, float("nan"))])
def test_grids_that_make_no_sense_are_refused(steps, extent):
    with pytest.raises(UsageError):
        grid_axis(steps, extent)


def test_support_counts_the_labels_around_a_point():
    labels = np.array([(0.5, 0.25)] * 19 + [(0.6, 0.3), (0.5, 0.4), (-1, -1), (1, 1)])
    support = Support.from_affect(labels)
    assert support.count(0.5, 0.25) == 20  # all but the one whose arousal is 0.15 away
    assert support.covers(0.5, 0.25)
    assert not support.covers(0.5, 0.5)
    assert support.count(1, 1) == support.count(-1, -1) == 1
    assert support.count(0.5, -0.5) == 0


@pytest.fixture
def support():
    """Labels over a triangle: all affect whose arousal does not exceed its valence, up to 0.5."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (40_000, 2))
    return Support.from_affect(points[points[:, 1] <= points[:, 0]])


def test_affect_beyond_the_labels_goes_to_their_edge(support):
    inside = Affect(0.3, -0.2)
    assert support.nearest(inside) == inside
    moved = support.nearest(Affect(-1, 1))
    assert moved.valence == pytest.approx(moved.arousal, abs=0.3)
    assert math.hypot(moved.valence + 1, moved.arousal - 1) > 0.9
    assert support.nearest(moved).valence == pytest.approx(moved.valence)
    right = support.nearest(Affect(1, 0.1))
    assert right.arousal == pytest.approx(0.1, abs=0.02)
    assert 0.45 < right.valence < 0.7


def test_a_path_that_leaves_the_labels_goes_on_without_a_jump(support):
    angles = np.linspace(0, 2 * np.pi, 400)
    path = [support.nearest(Affect(0.9 * math.cos(a), 0.9 * math.sin(a))) for a in angles]
    steps = [math.hypot(b.valence - a.valence, b.arousal - a.arousal) for a, b in pairwise(path)]
    assert max(steps) < 0.02  # no more than the path itself moves


def test_without_labels_nothing_is_moved():
    support = Support(np.zeros((80, 80)))
    assert support.nearest(Affect(0.9, -0.9)) == Affect(0.9, -0.9)


def test_moving_stays_on_the_plane():
    assert Affect(0.5, -0.5).moved(0.25, 0.25) == Affect(0.75, -0.25)
    assert Affect(0.5, -0.5).moved(2, -2) == Affect(1, -1)
    for way in ((2.1, 0), (0, float("nan"))):
        with pytest.raises(UsageError, match="to move by"):
            Affect(0, 0).moved(*way)
