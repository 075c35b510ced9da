"""Brows are moved whole, and nothing away from them is touched."""

import pytest
import torch
from torch.nn import functional

from faceedit.models.brows import BEYOND, EDGES, FALL_ASIDE, FALL_UP, keep_brows, lift_forehead
from faceedit.models.face_mesh import BROWS, POINTS, point_indices

SIZE = 96


@pytest.fixture
def face():
    """The landmarks (1, K, 2) of two straight brows, a share of 0.03 thick."""
    landmarks = torch.full((1, len(POINTS), 2), 0.8)
    for brow, (left, right) in enumerate(((0.2, 0.42), (0.58, 0.8))):
        x = torch.linspace(left, right, 5)
        for edge, y in enumerate((0.3, 0.33)):
            numbers = torch.tensor(EDGES).view(2, 2, 5)[brow, edge]
            landmarks[0, numbers] = torch.stack([x, torch.full_like(x, y)], 1)
    return landmarks


def test_every_point_of_the_brows_is_named_once():
    assert sorted(EDGES) == sorted(point_indices(BROWS))


def test_a_squeezed_brow_is_as_thick_as_it_was(face):
    flow = torch.zeros(1, 2, SIZE, SIZE)
    rows = (torch.arange(SIZE) + 0.5) / SIZE
    flow[:, 1] = 4 * (rows - 0.3).clamp(0, 0.03)[:, None] - 0.06  # its upper edge comes from 0.27, its lower from 0.36
    kept = keep_brows(flow, face, face)
    ends = 2 * face[:, list(EDGES)][:, None] - 1
    moves = functional.grid_sample(kept, ends, align_corners=False)[0, 1, 0].view(2, 2, 5)
    assert (moves[:, 0] - moves[:, 1]).abs().max() < 0.01  # before: 0.12
    assert moves.mean().item() == pytest.approx(0.0, abs=0.02)  # where the flow took its middle


def test_nothing_changes_away_from_brows_or_where_all_moves_alike(face):
    noise = 0.1 * torch.rand(1, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    kept = keep_brows(noise, face, face)
    assert (kept - noise)[:, :, 45:].abs().max() < 1e-3
    assert (kept - noise)[:, :, :15].abs().max() < 1e-3
    alike = torch.full((1, 2, SIZE, SIZE), 0.05)
    assert torch.allclose(keep_brows(alike, face, face), alike)


def test_a_brow_is_led_little_beyond_its_landmarks(face):
    after = face.clone()
    after[:, list(EDGES), 1] -= 0.02
    for pull in (0.3, -0.3):
        kept = keep_brows(torch.full((1, 2, SIZE, SIZE), pull), face, after)
        ends = 2 * after[:, list(EDGES)][:, None] - 1
        moves = functional.grid_sample(kept, ends, align_corners=False)[0, 1, 0]
        limit = 0.04 + (BEYOND if pull > 0 else -BEYOND)
        assert (moves - limit).abs().max() < 0.01


def test_no_hair_is_drawn_up_above_a_brow(face):
    flow = torch.zeros(1, 2, SIZE, SIZE)
    flow[:, 1, 14:27] = 0.2  # would show at 0.15 to 0.28 what is a share of 0.1 below, brows and all
    rows = (torch.arange(SIZE) + 0.5) / SIZE
    shown = rows + keep_brows(flow, face, face)[0, 1, :, 30] / 2
    above = rows < 0.27
    assert (shown[above] < 0.3).all()
    assert (rows + flow[0, 1, :, 30] / 2)[above].max() > 0.35
    assert keep_brows(flow, face, face)[0, 1, :27, 48].max() > 0.19  # between brows it may


def test_no_end_of_a_brow_bends_to_a_hook(face):
    columns = (torch.arange(SIZE) + 0.5) / SIZE
    flow = torch.zeros(1, 2, SIZE, SIZE)
    flow[:, 1] = 0.1 * torch.exp(-(((columns - 0.42) / 0.03) ** 2))
    bent, straight = (x[0, 1, 30, 20:40].diff().abs().max() for x in (flow, keep_brows(flow, face, face)))
    assert bent > 0.02
    assert straight < 0.015
    line = 0.07 * columns.expand_as(flow)
    assert (keep_brows(line, face, face) - line)[0, 1, 29:32, 20:40].abs().max() < 2e-3


def test_a_forehead_goes_up_with_its_brows_and_nothing_else_does(face):
    flow = torch.zeros(1, 2, SIZE, SIZE)
    rows = (torch.arange(SIZE) + 0.5) / SIZE
    band = (1 - (rows - 0.29).abs() / 0.06).clamp(0, 1)[:, None]  # the convolutions' own: all heaped over the brow
    flow[:, 1] = 0.1 * band
    flow[:, 1, :, 46:50] = 0  # between brows
    lifted = lift_forehead(flow, face)
    up = 48 * lifted[0, 1]  # pixels
    assert torch.equal(lifted[:, 0], flow[:, 0])
    assert torch.equal(lifted[:, :, 29:], flow[:, :, 29:])  # below the brows' upper edge
    assert (lifted >= flow).all()
    fall = (up[1:20] - up[:19]).abs().max()
    assert fall <= FALL_UP + 1e-4
    assert (48 * (flow[0, 1, 1:28] - flow[0, 1, :27])).abs().max() > 3 * FALL_UP  # what it was
    assert (up[:20, 1:] - up[:20, :-1]).abs().max() <= FALL_ASIDE + 1e-4
    assert torch.allclose(lift_forehead(lifted, face)[:, :, :20], lifted[:, :, :20], atol=1e-6)  # once is enough
    sinking = -flow.clamp(min=0)
    assert torch.allclose(lift_forehead(sinking, face), sinking, atol=1e-6)
