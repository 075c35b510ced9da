import torch
from torch.nn import functional

from faceedit.models.landmark_flow import landmark_flow


def test_a_flow_takes_landmarks_where_they_go_and_leaves_the_rest():
    generator = torch.Generator().manual_seed(0)
    before = torch.rand(2, 12, 2, generator=generator) * 0.3 + 0.35
    after = before + torch.tensor([0.02, -0.01])
    flow = landmark_flow(before, after, 96)
    at = functional.grid_sample(flow, 2 * after[:, None] - 1, align_corners=False)[:, :, 0]
    torch.testing.assert_close(at.mean(2), torch.tensor([[-0.04, 0.02]] * 2), atol=4e-3, rtol=0)
    assert flow[:, :, :2].abs().max() < 0.1 * flow.abs().max()
    assert not landmark_flow(before, before, 96).any()


def test_each_landmark_goes_its_own_way():
    before = torch.tensor([[[0.3, 0.5], [0.7, 0.5]]])
    after = before + torch.tensor([[[0.02, 0.0], [0.0, -0.03]]])
    at = functional.grid_sample(landmark_flow(before, after, 96), 2 * after[:, None] - 1, align_corners=False)[0, :, 0]
    torch.testing.assert_close(at.T, torch.tensor([[-0.04, 0.0], [0.0, 0.06]]), atol=6e-3, rtol=0)


def test_landmarks_at_one_place_that_ask_for_different_moves_get_the_mean():
    before = torch.full((1, 2, 2), 0.5)
    after = torch.tensor([[[0.5, 0.5], [0.5, 0.5]]])
    before[0, 0, 1], before[0, 1, 1] = 0.48, 0.52
    assert landmark_flow(before, after, 96).abs().max() < 1e-4
