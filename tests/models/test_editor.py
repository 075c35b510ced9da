import json
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from faceedit import kinds, weights
from faceedit.config import EstimatorTraining, WarpTraining
from faceedit.editing.compositing import edit_masks
from faceedit.kinds import MODELS, Preset
from faceedit.models.discriminators import ImageDiscriminator
from faceedit.models.editor import EDIT, Edit, WarpEditor, rendered, residual
from faceedit.models.face_mesh import (
    LOWER_LIP,
    LOWER_LIP_OUTSIDE,
    POINTS,
    UPPER_LIP,
    UPPER_LIP_OUTSIDE,
    point_indices,
)
from faceedit.models.layers import mix_filters
from faceedit.models.lips import lip_opening
from faceedit.models.mouth import Mouth
from faceedit.models.mouth.settings import MOUTH
from faceedit.models.palette import palette
from faceedit.models.sampling import warped
from faceedit.training.checkpoint import STATE_FILE, export_weights
from faceedit.training.loop import train
from faceedit.training.losses import bending_energy
from faceedit.weights import load_weights
from tests.conftest import TINY_ESTIMATOR, TINY_WARP

LANDMARKS = torch.rand(1, len(POINTS), 2, generator=torch.Generator().manual_seed(2))
LIP_EDGES = ((UPPER_LIP, 0.6), (LOWER_LIP, 0.8), (UPPER_LIP_OUTSIDE, 0.53), (LOWER_LIP_OUTSIDE, 0.87))
for lip, y in LIP_EDGES:  # wide open
    LANDMARKS[0, point_indices(lip)] = torch.stack([torch.linspace(0.3, 0.7, 11), torch.full((11,), y)], dim=1)


@pytest.fixture
def images():
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_an_edit_to_the_source_is_nothing_and_to_another_affect_is_something(images):
    torch.manual_seed(0)
    model = WarpEditor(TINY_WARP).eval()
    landmarks, source = LANDMARKS.expand(3, -1, -1), torch.tensor([[0.2, 0.1]]).expand(3, -1)

    def edit_to(affect, expression=None):
        target = functional.pad(affect, (0, 8))
        if expression is not None:
            target[:, 2 + expression] = 1
        return model(images, landmarks, source, target, finished=True)

    nothing = edit_to(source)
    assert not nothing.flow.any()
    assert not residual(nothing).any()
    edit = edit_to(source + torch.tensor([0.3, 0.2]))
    assert edit.flow.shape == (3, 2, 32, 32)
    assert edit.colour.shape == (3, 3, 8, 8)
    assert edit.flow.abs().max() > 0
    torch.nn.init.normal_(model.decoder.motion.expression_coefficients, std=0.1)
    assert not edit_to(source, expression=4).flow.any()  # whatever it is called
    afraid, surprised = (edit_to(source + 0.4, expression) for expression in (4, 3))
    assert (afraid.landmarks - surprised.landmarks).abs().max() > 0.01
    assert (afraid.flow - surprised.flow).abs().max() > 0
    near = [residual(edit_to(source + step)).abs().mean() for step in (0.001, 0.01, 0.1)]
    assert near[0] < near[1] < near[2]  # no jump at the source


def test_edits_go_as_much_further_as_they_would_stop_short(images):
    torch.manual_seed(0)
    model = WarpEditor(TINY_WARP).eval()
    landmarks, source = LANDMARKS.expand(3, -1, -1), torch.tensor([[0.2, 0.1]]).expand(3, -1)
    far = model(images, landmarks, source, source + 0.3, finished=True)
    model.decoder.gain.fill_(1.5)
    asked = model(images, landmarks, source, source + 0.2, finished=True)
    assert torch.allclose(asked.flow, far.flow, atol=1e-6)
    named = torch.cat([source + 0.3, torch.eye(8)[:3]], dim=1)
    before = model(images, landmarks, source, named, finished=True)
    model.decoder.gain.fill_(1)
    assert torch.equal(model(images, landmarks, source, named, finished=True).flow, before.flow)
    assert not model(images, landmarks, source, source, finished=True).flow.any()


def test_what_is_named_is_asked_for_plainly_once_training_is_over(images):
    model = WarpEditor(TINY_WARP).eval()
    asked = []
    model.decoder.condition.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[0][:, -8:].diagonal()))
    named = torch.cat([torch.full((8, 2), 0.5), torch.eye(8)], dim=1)
    for finished in (False, True):
        model(
            images[:1].expand(8, -1, -1, -1), LANDMARKS.expand(8, -1, -1), torch.zeros(8, 2), named, finished=finished
        )
    assert asked[0].tolist() == [1] * 8
    assert asked[1].tolist() == pytest.approx(EDIT.emphasis)


def test_lips_part_as_far_as_names_need_it_once_training_is_over(images):
    model = WarpEditor(TINY_WARP).eval()
    motion, lower = model.decoder.motion, point_indices(LOWER_LIP[1:-1])
    motion.mean.copy_(LANDMARKS[0])
    motion.lip_coefficients[lower, 1] = 1.0
    motion.expression_coefficients.data[:, lower, 1] = 0.05
    motion.coefficients[1, lower, 1] = 0.1  # of arousal
    targets = torch.cat([torch.full((9, 2), 0.5), torch.eye(9)[:, :8]], dim=1)  # the last is not named
    faces, landmarks = images[:1].expand(9, -1, -1, -1), LANDMARKS.expand(9, -1, -1)
    all_of_it, parted = (
        lip_opening(model(faces, landmarks, torch.zeros(9, 2), targets, finished=finished).landmarks)
        - lip_opening(LANDMARKS)
        for finished in (False, True)
    )
    assert all_of_it.min() > 0.01
    assert (parted / all_of_it).tolist() == pytest.approx([*EDIT.parting, EDIT.unnamed_parting], abs=0.02)


def test_lips_get_to_their_places_once_they_are_corrected(images):
    torch.manual_seed(0)
    model = WarpEditor(TINY_WARP).eval()
    torch.nn.init.normal_(model.decoder.to_edit.weight, std=0.1)
    inner = point_indices(UPPER_LIP[3:-3]) + point_indices(LOWER_LIP[3:-3])
    seen = LANDMARKS[:, None, inner] * 2 - 1
    misses = []
    for corrected in (False, True):
        affects = torch.zeros(2, 2), torch.full((2, 2), 0.5)
        flow = model(images[:2], LANDMARKS.expand(2, -1, -1), *affects, finished=corrected).flow
        at_lips = functional.grid_sample(flow, seen.expand(2, -1, -1, -1), align_corners=False)  # the average stays
        misses.append(at_lips.abs().mean())
    assert misses[1] < 0.3 * misses[0]


def test_encoding_once_serves_every_target(images):
    model = WarpEditor(TINY_WARP).eval()
    features = model.encoder(images[:1], LANDMARKS).expand(4)
    targets = torch.rand(4, 2)
    together = model.decoder(features, torch.zeros(4, 2), targets, finished=True)
    alone = model(images[:1], LANDMARKS, torch.zeros(1, 2), targets[2:3], finished=True)
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[2:3], b, atol=1e-5, rtol=1e-4)


def test_a_latent_fills_its_range_and_stays_where_a_tanh_learns(images):
    encoder = WarpEditor(TINY_WARP).encoder
    torch.nn.init.normal_(encoder.to_z.weight, std=100)
    z = encoder(images, LANDMARKS.expand(3, -1, -1)).z
    assert z.abs().max() < 1
    assert z.abs().mean() < 0.8


def test_a_flow_points_to_where_content_comes_from(images):
    flow = torch.zeros(3, 2, 32, 32)
    flow[:, 0] = 2 * 4 / 32  # four pixels to the right, in halves of the side
    torch.testing.assert_close(warped(images, flow)[..., :28], images[..., 4:], atol=1e-4, rtol=1e-4)


def test_a_rendered_edit_leaves_the_border_alone(images):
    masks = torch.from_numpy(edit_masks(32))
    rows, columns = Mouth.region(32)
    mouth = torch.full((3, 2, 32, 32), 5.0)[..., rows, columns]
    flow, colour, nowhere = torch.full((3, 2, 32, 32), 0.1), torch.full((3, 3, 8, 8), 0.5), torch.zeros(3, 0, 2)
    edit = Edit(flow, colour, mouth, palette(images), nowhere)
    edited = rendered(images, edit, masks)
    for border in ((0, slice(None)), (slice(None), 0), (slice(None), -1)):
        torch.testing.assert_close(edited[..., *border], images[..., *border], atol=1e-5, rtol=1e-5)
    assert (edited - images)[..., 16, 16].abs().min() > 0.01


def strongest(images):
    """What an edit adds, (N, 3, 32, 32), that shades all that it may and opens no mouth."""
    torch.manual_seed(3)
    model = WarpEditor(TINY_WARP).eval()
    torch.nn.init.normal_(model.decoder.to_edit.weight, std=10)
    count = len(images)
    affects = torch.zeros(count, 2), torch.full((count, 2), 0.5)
    edit = model(images, LANDMARKS.expand(count, -1, -1), *affects, finished=False)
    return residual(edit._replace(mouth=torch.full_like(edit.mouth, -MOUTH.max_distance)))[:, :3]


def test_a_face_is_shaded_only_so_far(images):
    colour = strongest(images)
    assert 0.9 * EDIT.max_colour < colour.abs().max() <= EDIT.max_colour


def test_shading_is_smooth_however_rough_the_face(images):
    checkered = images[..., ::2, ::2].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    colour = strongest(checkered)
    rough = checkered.diff(dim=3).abs().mean() / checkered.std()
    assert colour.diff(dim=3).abs().mean() / colour.std() < 0.5 * rough


def test_a_face_in_grey_is_shaded_in_grey(images):
    colour = strongest(images[:, :1].expand(-1, 3, -1, -1))
    torch.testing.assert_close(colour[:, :1].expand(-1, 3, -1, -1), colour)
    assert strongest(images).std(dim=1).max() > 0.01


def mouth(size, teeth):
    """An edit of one face of this size that only opens its mouth, an ellipse; teeth: the logit of their being there."""
    y, x = torch.meshgrid(*[(torch.arange(size) + 0.5) / size] * 2, indexing="ij")
    radius = (((x - 0.5) / 0.15) ** 2 + ((y - 0.72) / 0.05) ** 2).sqrt()
    distance = (0.5 + (1 - radius) * 0.05 * size).clamp(-4, 4)[Mouth.region(size)]
    fields = torch.stack([distance, torch.full_like(distance, teeth)])
    colours = torch.tensor([[(0.4, 0.1, -0.1), (0.2, -0.4, -0.3), (-0.9, -0.9, -0.9), (0.8, 0.8, 0.7)]])
    flow, colour, nowhere = torch.zeros(1, 2, size, size), torch.zeros(1, 3, size // 4, size // 4), torch.zeros(1, 0, 2)
    return Edit(flow, colour, fields[None], colours, nowhere)


def test_a_mouth_hides_what_it_opens_and_nothing_else():
    *colour, occlusion = residual(mouth(96, -6.0))[0]
    assert occlusion.shape == (96, 96)
    assert occlusion[69, 48] == 1
    assert occlusion.sum() == pytest.approx(torch.pi * 0.15 * 0.05 * occlusion.numel(), rel=0.15)
    assert not torch.stack(colour)[:, occlusion == 0].any()
    dark = torch.stack(colour)[:, occlusion == 1]
    assert dark.max() < 0  # and the lips have 0.2
    assert (dark[0] > dark[1]).all()  # red, as the lips are


def test_a_wide_mouth_shows_a_tongue_below_its_dark():
    red = residual(mouth(96, -6.0))[0, 0]
    top, bottom = red[66, 48], red[71, 48]
    assert top < -0.7
    assert bottom > top + 0.3
    assert red[71, 39] < bottom - 0.15


def test_below_the_dark_under_the_teeth_no_further_ones_show():
    edit = mouth(96, 3.0)
    top = Mouth.region(96)[0].start
    edit.mouth[:, 1, 68 - top : 71 - top] = -3.0
    red = residual(edit)[0, 0, :, 45]
    upper, below = red[66], red[71:74]
    assert upper > 0.3
    assert below.max() < upper - 0.7


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
    assert teeth.mean() > 0.65
    torch.testing.assert_close(no_lips, torch.tensor(skin))


def test_the_teeth_of_a_dark_face_do_not_glow_before_a_bright_background():
    image = torch.full((1, 3, 96, 96), -0.8)
    image[..., :20], image[..., 76:] = 1, 1
    *_, teeth = palette(image)[0]
    assert -0.5 < teeth.mean() < 0.1


def test_the_discriminator_sees_the_last_maps_of_a_teacher_and_the_affect(images, tiny_judge):
    torch.manual_seed(0)
    discriminator = ImageDiscriminator(TINY_WARP).eval()
    neutral = torch.zeros(3, TINY_WARP.target_dim)
    maps = load_weights(str(tiny_judge)).model.maps(images)
    logits = discriminator([images, *maps], neutral)
    assert logits.shape == (3, 3)
    assert (logits != discriminator([images, *maps], neutral + 1)).all()
    for i in range(3):
        other = [x + (i == j) for j, x in enumerate(maps)]
        assert (discriminator([images, *other], neutral) != logits).all(0).tolist() == [i == j for j in range(3)]


def test_turning_costs_no_bending_and_folding_costs_most():
    mask, held = torch.ones(32, 32), torch.ones(1, 1, 32, 32)
    y, x = torch.meshgrid(*[(torch.arange(32) + 0.5) / 16 - 1] * 2, indexing="ij")
    turned = torch.stack([-0.1 * y, 0.1 * x])[None]
    squeezed, folded = (torch.stack([-amount * torch.sin(6 * x) / 6, 0 * y])[None] for amount in (0.5, 1.5))
    away = 0.01 * (turned * 16).square().mean()
    torch.testing.assert_close(bending_energy(turned, mask, held), away)
    costs = [bending_energy(flow, mask, held) - 0.01 * (flow * 16).square().mean() for flow in (squeezed, folded)]
    assert costs[0] > 0
    assert costs[1] > 20 * costs[0]  # 9, were it bending alone
    assert bending_energy(folded, mask, 0 * held) < 0.02 * costs[1]


def test_what_a_mask_stretches_costs_though_its_flow_is_straight():
    held, moved = torch.ones(1, 1, 32, 32), torch.zeros(1, 2, 32, 32)
    moved[:, 1] = 2 * 6 / 32  # up by six pixels
    masks = [(torch.arange(32)[:, None] / width).clamp(max=1).flip(0).expand(32, 32) for width in (24, 7)]
    gentle, steep = (bending_energy(moved, mask, held) for mask in masks)
    assert gentle == 0.01 * (moved * 16).square().mean()
    assert steep > 2 * gentle


def test_the_editor_trains_and_is_published(prepared, tiny_judge, tmp_path):
    training = WarpTraining(epochs=8, batch=4, teacher=str(tiny_judge), save_minutes=60)
    reports = []
    train(prepared, tmp_path / "run", training, TINY_WARP, report=reports.append)
    assert {"affect", "geometry", "adversarial", "cycle", "bending", "image_discriminator"} <= reports[-1].losses.keys()
    assert list((tmp_path / "run" / "sheets").glob("edits-*.png"))
    export_weights(tmp_path / "run", tmp_path / "tiny.safetensors")
    published = load_weights(str(tmp_path / "tiny.safetensors"))
    assert published.model.config == TINY_WARP
    assert published.training["teacher"] == tiny_judge.name


def test_a_run_written_under_earlier_names_resumes(prepared, tiny_judge, tmp_path):
    run = tmp_path / "run"
    training = WarpTraining(epochs=1, batch=4, teacher=str(tiny_judge), save_minutes=60)
    train(prepared, run, training, TINY_WARP)
    state = torch.load(run / STATE_FILE)
    for tensors in (state["ema"], state["networks"]["editor"]):
        for old, now in weights.RENAMED.items():
            for name in [name for name in tensors if name.startswith(now)]:
                tensors[name.replace(now, old)] = tensors.pop(name)
    configs = json.loads(state["configs"])
    for old, now in kinds.RENAMED.items():
        configs["training"][old] = configs["training"].pop(now)
    torch.save(state | {"configs": json.dumps(configs)}, run / STATE_FILE)
    reports = []
    train(prepared, run, replace(training, epochs=2), TINY_WARP, resume=True, report=reports.append)
    assert reports[-1].step == 2 * state["step"]


def test_filters_mixed_draw_what_mixtures_of_what_they_draw_are():
    torch.manual_seed(0)
    layer, x, shares = torch.nn.Conv2d(5, 4 * 3, 3, padding=1), torch.randn(2, 5, 8, 8), torch.rand(2, 4)
    drawn = layer(x).unflatten(1, (4, 3))
    torch.testing.assert_close(mix_filters(layer, x, shares), torch.einsum("nk,nkchw->nchw", shares, drawn))


def test_an_editor_without_a_teacher_trains_one_first_and_keeps_it(prepared, tmp_path, monkeypatch):
    tiny = Preset(TINY_ESTIMATOR, EstimatorTraining(epochs=1, batch=4, half=1))
    monkeypatch.setitem(MODELS, "teacher", tiny)
    training = WarpTraining(epochs=1, batch=4)
    run = tmp_path / "run"

    def interrupt(report):
        if report.step == report.steps and "concordance" in report.losses:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(prepared, run, training, TINY_WARP, report=interrupt)
    train(prepared, run, training, TINY_WARP)  # the same again goes on
    teacher = load_weights(str(run / "teacher.safetensors"), kinds=("estimator",))
    assert teacher.training["half"] == 1
    export_weights(run, tmp_path / "tiny.safetensors")
    assert load_weights(str(tmp_path / "tiny.safetensors")).training["teacher"] == "teacher.safetensors"
