import torch

from faceedit.models.sampling import constant, coordinate_grid, indices, pixel_centres

CPU = torch.device("cpu")


def test_constants_are_made_once_and_keep_floats_and_indices_apart():
    assert constant((0.0, 1.0), CPU) is constant((0.0, 1.0), CPU)
    assert constant((0, 1), CPU).dtype == torch.float32
    assert indices((0.0, 1.0), CPU).dtype == torch.int64


def test_what_was_cached_while_editing_serves_training():
    with torch.inference_mode():
        cached = [constant((0.25, 3.5), CPU), pixel_centres(7, CPU), coordinate_grid(3, 7, CPU)]
    for tensor in cached:
        weight = torch.ones((), requires_grad=True)
        (weight * tensor).sum().backward()
        assert weight.grad == tensor.sum()
