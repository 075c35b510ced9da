"""Lids go where they are asked to, whatever the flow did there, and nothing moves away from the eyes."""

import pytest
import torch
from torch.nn import functional

from faceedit.models.brows import EDGES
from faceedit.models.face_mesh import EYE_CORNERS, LOWER_LIDS, POINTS, UPPER_LIDS, point_indices
from faceedit.models.lids import LIDS, WIDEST, move_lids, unfold_lids

SIZE = 96
ALL = torch.ones(1, 1, 1, 1)
UPPER, LOWER = point_indices(UPPER_LIDS), point_indices(LOWER_LIDS)


@pytest.fixture
def face():
    """The landmarks (1, K, 2) of two open eyes."""
    landmarks = torch.full((1, len(POINTS), 2), 0.8)
    for eye, middle in enumerate((0.33, 0.67)):
        x = torch.linspace(-0.07, 0.07, 9)
        height = 0.02 * (1 - (x / 0.07) ** 2)
        lids = torch.tensor(LIDS).view(2, 2, 9)[eye]
        landmarks[0, lids[0]] = torch.stack([middle + x, 0.4 - height], 1)
        landmarks[0, lids[1]] = torch.stack([middle + x, 0.4 + height], 1)
    return landmarks


def reached(flow, after):
    """From where the flow takes what it shows at points (1, K, 2), in shares of the side."""
    there = functional.grid_sample(flow, 2 * after[:, None] - 1, align_corners=False)[:, :, 0].transpose(1, 2)
    return after + there / 2


def test_every_lid_is_named_once_but_for_the_corners():
    assert sorted(LIDS) == sorted(UPPER + LOWER + 2 * point_indices(EYE_CORNERS))


@pytest.mark.parametrize("pull", [0.0, 0.15])
def test_lids_go_where_they_are_asked_to(face, pull):
    after = face.clone()
    after[:, UPPER, 1] -= 0.01
    after[:, LOWER, 1] += 0.006
    flow = torch.zeros(1, 2, SIZE, SIZE)
    flow[:, 1, 40:60] = -pull  # drags all that lies below the eyes down
    corrected = move_lids(flow, face, after, ALL)
    for lid, moved in ((UPPER, 0.01), (LOWER, 0.006)):
        middle = lid[3::7]
        assert (reached(corrected, after)[:, middle] - face[:, middle]).abs().max() < 0.4 * moved
    columns = corrected[0, 1, :, 32] / 2 + (torch.arange(SIZE) + 0.5) / SIZE
    assert (columns[30:44].diff() > 0).all()  # nothing is shown twice


def test_skin_below_an_eye_goes_down_no_further_than_its_lid(face):
    after = face.clone()
    after[:, LOWER, 1] += 0.01
    flow = torch.zeros(1, 2, SIZE, SIZE)
    flow[:, 1, 44:70] = -0.2
    under, between = (move_lids(flow, face, after, ALL)[0, 1, :, column] for column in (32, 48))
    assert (under[44:56] > -0.06).all()
    assert under[69] < under[44:56].min()  # it may further down, where mouths open
    assert (between[44:70] < -0.19).all()  # and on the nose
    flow = flow.abs()  # cheeks that a smile lifts
    torch.testing.assert_close(move_lids(flow, face, face, ALL)[:, :, 68:], flow[:, :, 68:], atol=0.01, rtol=0)


def test_closed_eyes_stay_closed(face):
    closed = face.clone()
    closed[:, UPPER + LOWER, 1] = 0.4 + (face[:, UPPER + LOWER, 1] - 0.4) / 8
    after = closed.clone()
    after[:, UPPER, 1] -= 0.02
    corrected = move_lids(torch.zeros(1, 2, SIZE, SIZE), closed, after, ALL)
    assert corrected[0, 1, 32:44, 28:36].diff(dim=0).abs().max() < 0.01  # nothing is stretched: the lids go up together
    assert corrected[0, 1, 37:40, 32].mean() > 0.01


def test_no_eye_opens_wider_than_eyes_do(face):
    after = face.clone()
    after[:, UPPER, 1] -= 0.04
    corrected = move_lids(torch.zeros(1, 2, SIZE, SIZE), face, after, ALL)
    source = corrected[0, 1, :, 32] / 2 + (torch.arange(SIZE) + 0.5) / SIZE
    opening = ((source > 0.38) & (source < 0.42)).sum() / SIZE  # of what lay between the lids
    assert 0.04 < opening < (WIDEST + 0.1) * 0.14


def test_away_from_eyes_the_flow_is_what_it_was(face):
    flow = torch.randn(1, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    corrected = move_lids(flow, face, face, ALL)
    torch.testing.assert_close(corrected[:, :, 75:], flow[:, :, 75:], atol=1e-2, rtol=0)
    torch.testing.assert_close(corrected[:, :, :, 46:50], flow[:, :, :, 46:50], atol=0.6, rtol=0)
    assert corrected[0, :, 37:40, 28:36].abs().max() < 0.1  # in an eye that stays


def test_gradients_and_batches(face):
    faces = torch.cat([face, face + 0.01])
    flow = torch.zeros(2, 2, SIZE, SIZE, requires_grad=True)
    both = move_lids(flow, faces, faces + 0.02, ALL)
    alone = [move_lids(flow[i : i + 1], faces[i : i + 1], faces[i : i + 1] + 0.02, ALL) for i in range(2)]
    torch.testing.assert_close(both, torch.cat(alone))
    both.sum().backward()
    assert torch.isfinite(flow.grad).all()


def test_skin_unfolds_evenly_between_a_lid_and_a_brow_that_rises(face):
    for brow, middle in enumerate((0.33, 0.67)):
        edge = torch.tensor(EDGES).view(2, 2, 5)[brow, 1]
        x = middle + torch.linspace(-0.08, 0.08, 5)
        face[0, edge] = torch.stack([x, torch.full_like(x, 0.28)], 1)
    rows = (torch.arange(SIZE) + 0.5) / SIZE
    flow = torch.zeros(1, 2, SIZE, SIZE)
    flow[:, 1] = 0.08 * ((0.36 - rows) / 0.02).clamp(0, 1)[:, None]  # all that unfolds lies right above the lid
    for lifted in (flow, flow.flip(3)):
        even = unfold_lids(lifted, face)
        for column in (32, 63):
            skin = even[0, 1, 28:34, column]  # rows between brow and lid
            fall = -skin.diff()
            assert (fall > 0).all()
            assert fall.max() < 2 * fall.min()
            assert (-lifted[0, 1, 28:36, column].diff()).max() > 2 * fall.max()  # what it was
        assert torch.equal(even[:, :, :27], lifted[:, :, :27])  # the brow and what lies above it
        assert torch.equal(even[:, :, 39:], lifted[:, :, 39:])
    assert torch.equal(unfold_lids(-flow, face), -flow)  # brows that sink
