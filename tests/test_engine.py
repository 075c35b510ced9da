import numpy as np
import pytest
import torch

from faceedit.circumplex import Affect
from faceedit.engine import ENGINES, GAIN_DARK, GAIN_LIGHT, damped, difference
from faceedit.model.caae import Caae
from faceedit.weights import build
from tests.conftest import TINY, TINY_WARP, draw_face

TARGETS = np.random.default_rng(0).uniform(-1, 1, (20, 2))


@pytest.fixture(params=["caae", "warp"])
def engine(request):
    torch.manual_seed(0)
    config = {"caae": TINY, "warp": TINY_WARP}[request.param]
    return ENGINES[request.param](build(config).eval(), "cpu")


def test_decoding_in_batches_is_decoding_one_by_one(engine):
    code = engine.encode(draw_face(32), Affect(0.1, 0.2))
    together = list(engine.edits(code, TARGETS))
    assert len(together) == 20
    for target, (flow, colour) in zip(TARGETS, together, strict=True):
        ((same_flow, same_colour),) = engine.edits(code, target[None])
        assert flow.shape == (32, 32, 2)
        assert colour.shape == (32, 32, 3)
        np.testing.assert_allclose(same_flow, flow, atol=2e-2)
        np.testing.assert_allclose(same_colour, colour, atol=2e-3)
    assert np.abs([colour for _, colour in together]).max() > 1e-4


def test_where_memory_is_full_batches_are_halved_down_to_one(engine):
    code = engine.encode(draw_face(32), Affect(0.1, 0.2))
    whole = list(engine.edits(code, TARGETS))
    tried, room = [], 0

    def full(module, inputs):
        tried.append(len(inputs[-1]))
        if tried[-1] > room:
            raise torch.OutOfMemoryError("CUDA out of memory")

    decoder = engine.model.generator if isinstance(engine.model, Caae) else engine.model.decoder
    decoder.register_forward_pre_hook(full)
    with pytest.raises(torch.OutOfMemoryError):
        list(engine.edits(code, TARGETS))
    for room, sizes in ((5, [16, 8, 4, 4, 4, 4, 4]), (1, [16, 8, 4, 2] + [1] * 20)):  # noqa: B007 - read in `full`
        tried.clear()
        for pair, same in zip(engine.edits(code, TARGETS), whole, strict=True):
            for field, same_field in zip(pair, same, strict=True):
                np.testing.assert_allclose(field, same_field, atol=2e-2)
        assert tried == sizes


def test_an_edit_to_the_source_is_nothing(engine):
    source = Affect(0.1, 0.2)
    code = engine.encode(draw_face(32), source)
    ((flow, colour),) = engine.edits(code, np.array([(source.valence, source.arousal)]))
    assert not flow.any()
    assert not colour.any()


def test_drawings_are_crops(engine):
    code = engine.encode(draw_face(32), Affect(0.1, 0.2))
    drawings = engine.drawings(code, TARGETS)
    assert drawings.shape == (20, 32, 32, 3)
    assert drawings.dtype == np.uint8


def test_the_difference_of_two_drawings_turns_one_into_the_other():
    neutral, happy = (draw_face(96, valence).astype(np.float32) / 255 for valence in (0.0, 1.0))
    flow, colour = difference(neutral, happy)
    assert not difference(neutral, neutral)[0].any()
    assert not difference(neutral, neutral)[1].any()
    assert np.abs(colour).mean() < np.abs(happy - neutral).mean()  # the warp explains a part
    shifted = np.roll(neutral, 2, axis=1)
    flow, _ = difference(neutral, shifted)
    assert np.median(flow[40:60, 25:35, 0]) == pytest.approx(-2, abs=0.5)


def test_colours_are_damped_away_from_the_mouth_and_dark_ones_beside_the_lips():
    light = torch.full((1, 3, 96, 96), 0.5)
    lit, darkened = damped(light), damped(-light)
    middle, corner, brow = (66, 48), (70, 66), (24, 30)  # rows, columns
    for place, gain, dark_gain in ((middle, 1, 1), (brow, GAIN_LIGHT, GAIN_DARK)):
        assert lit[..., *place].mean().item() == pytest.approx(0.5 * gain, abs=0.01)
        assert darkened[..., *place].mean().item() == pytest.approx(-0.5 * dark_gain, abs=0.01)
    assert lit[..., *corner].mean() > 0.4
    assert darkened[..., *corner].mean() > -0.35
    shares = torch.linspace(0, 1, 50)
    steps = torch.stack([damped(-light * share)[..., *corner].mean() for share in shares])
    assert steps.diff().abs().max() < 0.02  # no jump where darkening begins
