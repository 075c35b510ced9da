"""Jaws move smoothly along their outline, and nothing away from it is touched."""

import math

import pytest
import torch
from torch.nn import functional

from faceedit.models.face_mesh import POINTS
from faceedit.models.jaw import JAW, keep_jaw

SIZE = 96


@pytest.fixture
def face():
    """The landmarks (1, K, 2) of a jaw that is half a circle."""
    landmarks = torch.full((1, len(POINTS), 2), 0.5)
    angles = torch.linspace(math.pi, 0, len(JAW))
    landmarks[0, list(JAW)] = torch.stack([0.5 + 0.4 * angles.cos(), 0.45 + 0.4 * angles.sin()], dim=1)
    return landmarks


def along(flow, face):
    """Where a flow moves the jaw's points, (2, J)."""
    return functional.grid_sample(flow, 2 * face[:, list(JAW)][:, None] - 1, align_corners=False)[0, :, 0]


def test_a_dent_is_smoothed(face):
    rows, columns = torch.meshgrid(*2 * [(torch.arange(SIZE) + 0.5) / SIZE], indexing="ij")
    x, y = face[0, JAW[4]]
    dent = 0.1 * torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 0.06**2))
    flow = torch.stack([dent, torch.zeros_like(dent)])[None]
    assert along(flow, face).diff().abs().max() > 0.05
    assert along(keep_jaw(flow, face, face), face).abs().max() < 0.02


@pytest.mark.parametrize("drawn", [0.0, 0.05, 0.15])
def test_a_jaw_drops_as_far_as_its_landmarks_and_is_seen_once(face, drawn):
    """Whatever the flow would draw: the column of the chin shows the old chin at the new one, and not again below."""
    dropped = face.clone()
    chin = torch.linspace(-1, 1, len(JAW))
    dropped[0, list(JAW), 1] += 0.03 * (1 - chin**2)
    flow = torch.zeros(1, 2, SIZE, SIZE)
    flow[:, 1, SIZE // 2 :] = -2 * drawn
    flow = keep_jaw(flow, face, dropped)
    rows = (torch.arange(SIZE) + 0.5) / SIZE
    shown = (rows + flow[0, 1, :, SIZE // 2] / 2)[SIZE // 2 + 8 :]  # which row each row of the chin's column shows
    crossings = torch.nonzero((shown[:-1] < 0.85) & (shown[1:] >= 0.85))
    assert len(crossings) == 1
    assert abs(rows[SIZE // 2 + 8 + crossings.item()] - 0.88) < 0.015


def test_nothing_changes_away_from_the_jaw(face):
    flow = 0.03 * torch.rand(1, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    changed = (keep_jaw(flow, face, face) - flow).abs().amax((0, 1))
    assert changed[20:55, 30:66].max() < 1e-3
    assert changed.max() > 0.01
