import pytest
import torch

from faceedit.config import MODELS, EstimatorTraining, WarpTraining
from faceedit.face import feather_mask
from faceedit.model.warp import MOUTH_BOX, Decoder, ImageDiscriminator, WarpEditor, palette, rendered, sides, warped
from faceedit.train.checkpoint import export_weights
from faceedit.train.loop import train
from faceedit.train.warp import _bend
from faceedit.weights import load_weights
from tests.conftest import TINY_ESTIMATOR, TINY_WARP


@pytest.fixture
def images():
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_an_edit_to_the_source_is_nothing_and_to_another_affect_is_something(images):
    torch.manual_seed(0)
    model = WarpEditor(TINY_WARP).eval()
    source = torch.tensor([[0.2, 0.1]]).expand(3, -1)
    for field in model(images, source, source):
        assert not field.any()
    flow, colour = model(images, source, source + torch.tensor([0.3, 0.2]))
    assert flow.shape == (3, 2, 32, 32)
    assert colour.shape == images.shape
    assert flow.abs().max() > 0
    near = [model(images, source, source + step)[1].abs().mean() for step in (0.001, 0.01, 0.1)]
    assert near[0] < near[1] < near[2]  # no jump at the source


def test_encoding_once_serves_every_target(images):
    model = WarpEditor(TINY_WARP).eval()
    encoded = model.encoder(images[:1]).expand(4)
    targets = torch.rand(4, 2)
    together = model.decoder(encoded, torch.zeros(4, 2), targets)[:2]
    alone = model(images[:1], torch.zeros(1, 2), targets[2:3])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[2:3], b, atol=1e-5, rtol=1e-4)
    assert encoded.z.abs().max() <= 1


def test_a_flow_points_to_where_content_comes_from(images):
    flow = torch.zeros(3, 2, 32, 32)
    flow[:, 0] = 2 * 4 / 32  # four pixels to the right, in halves of the side
    torch.testing.assert_close(warped(images, flow)[..., :28], images[..., 4:], atol=1e-4, rtol=1e-4)


def test_a_rendered_edit_leaves_the_border_alone(images):
    mask = torch.from_numpy(feather_mask(32))
    edited = rendered(images, torch.full((3, 2, 32, 32), 0.1), torch.full((3, 3, 32, 32), 0.5), mask)
    torch.testing.assert_close(edited[..., 0, :], images[..., 0, :], atol=1e-5, rtol=1e-5)
    assert (edited - images)[..., 16, 16].abs().min() > 0.01


def painted(images):
    """The colour of an edit that paints all that it may."""
    torch.manual_seed(0)
    model = WarpEditor(TINY_WARP).eval()
    torch.nn.init.normal_(model.decoder.to_edit.weight, std=10)
    count = len(images)
    return model(images, torch.zeros(count, 2), torch.full((count, 2), 0.5))[1]


def test_only_a_mouth_can_be_painted_strongly(images):
    colour = painted(images)
    eyes, mouth = colour[:, :, 6:12], colour[:, :, 20:24, 14:18]
    assert eyes.abs().max() <= Decoder.most_away
    assert mouth.abs().max() > 1.5 * Decoder.most_away


def test_around_the_mouth_an_edit_is_drawn_at_full_size(images):
    torch.manual_seed(0)
    model = WarpEditor(TINY_WARP).eval()
    source, target = torch.zeros(3, 2), torch.full((3, 2), 0.5)
    flow, coarse = model(images, source, target)
    torch.nn.init.normal_(model.decoder.mouth[-1].weight, std=1)
    same, fine = model(images, source, target)
    assert torch.equal(flow, same)
    left, top, right, bottom = (2 * side for side in sides(MOUTH_BOX, 16))
    changed = (fine != coarse).any(1).any(0)
    assert changed[top:bottom, left:right].all()
    changed[top:bottom, left:right] = False
    assert not changed.any()


def test_a_face_in_grey_is_painted_in_grey(images):
    colour = painted(images[:, :1].expand(-1, 3, -1, -1))
    torch.testing.assert_close(colour[:, :1].expand(-1, 3, -1, -1), colour)
    assert painted(images).std(dim=1).max() > 0.05


def test_a_palette_holds_skin_lips_an_open_mouth_and_teeth():
    skin, lips, eyes = ((0.4, 0.1, -0.1), (0.2, -0.4, -0.3), (0.8, 0.8, 0.8))
    image = torch.tensor(skin)[None, :, None, None].expand(2, -1, 96, 96).clone()
    image[0, :, 62:74, 34:62] = torch.tensor(lips)[:, None, None]
    image[:, :, 24:32, 24:72] = torch.tensor(eyes)[:, None, None]
    image[0, :, 66:70, 40:56] = 0.9  # teeth
    (own, red, inside, teeth), (_, no_lips, *_) = palette(image)
    torch.testing.assert_close(own, torch.tensor(skin))
    torch.testing.assert_close(red, torch.tensor(lips), atol=0.02, rtol=0)
    assert inside.max() < -0.8
    assert teeth.min() > 0.7
    torch.testing.assert_close(no_lips, torch.tensor(skin))


def test_the_critic_sees_the_last_maps_of_a_guide_and_the_affect(images, tiny_judge):
    torch.manual_seed(0)
    critic = ImageDiscriminator(TINY_WARP).eval()
    neutral = torch.zeros(3, 2)
    maps = load_weights(str(tiny_judge)).model.maps(images)
    logits = critic([images, *maps], neutral)
    assert logits.shape == (3, 3)
    assert (logits != critic([images, *maps], torch.ones(3, 2))).all()
    for i in range(3):
        other = [x + (i == j) for j, x in enumerate(maps)]
        assert (critic([images, *other], neutral) != logits).all(0).tolist() == [i == j for j in range(3)]


def test_turning_costs_no_bending_and_folding_costs_most():
    seen = torch.ones(1, 1, 32, 32)
    y, x = torch.meshgrid(*[(torch.arange(32) + 0.5) / 16 - 1] * 2, indexing="ij")
    turned = torch.stack([-0.1 * y, 0.1 * x])[None]
    squeezed, folded = (torch.stack([-amount * torch.sin(6 * x) / 6, 0 * y])[None] for amount in (0.5, 1.5))
    away = 0.01 * (turned * 16).square().mean()
    torch.testing.assert_close(_bend(turned, seen), away)
    costs = [_bend(flow, seen) - 0.01 * (flow * 16).square().mean() for flow in (squeezed, folded)]
    assert costs[0] > 0
    assert costs[1] > 20 * costs[0]  # 9, were it bending alone
    assert _bend(folded, 0 * seen) < 0.02 * costs[1]


def test_the_editor_trains_and_is_published(prepared, tiny_judge, tmp_path):
    training = WarpTraining(epochs=8, batch=4, guide=str(tiny_judge), save_minutes=60)
    reports = []
    train(prepared, tmp_path / "run", training, TINY_WARP, report=reports.append)
    assert {"affect", "geometry", "opening", "adversarial", "cycle", "bend", "image_critic"} <= reports[
        -1
    ].losses.keys()
    assert list((tmp_path / "run" / "sheets").glob("edits-*.png"))
    export_weights(tmp_path / "run", tmp_path / "tiny.safetensors")
    weights = load_weights(str(tmp_path / "tiny.safetensors"))
    assert weights.model.config == TINY_WARP
    assert weights.training["guide"] == tiny_judge.name


def test_an_editor_without_a_guide_trains_one_first_and_keeps_it(prepared, tmp_path, monkeypatch):
    tiny = (TINY_ESTIMATOR, EstimatorTraining(epochs=1, batch=4, half=1))
    monkeypatch.setitem(MODELS, "guide", tiny)
    training = WarpTraining(epochs=1, batch=4)
    run = tmp_path / "run"

    def interrupt(report):
        if report.step == report.steps and "concordance" in report.losses:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(prepared, run, training, TINY_WARP, report=interrupt)
    train(prepared, run, training, TINY_WARP)  # the same again goes on
    weights = load_weights(str(run / "guide.safetensors"), kinds=("estimator",))
    assert weights.training["half"] == 1
    export_weights(run, tmp_path / "tiny.safetensors")
    assert load_weights(str(tmp_path / "tiny.safetensors")).training["guide"] == "guide.safetensors"
