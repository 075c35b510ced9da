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
