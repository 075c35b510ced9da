from copy import deepcopy

import pytest
import torch
from torch.nn import functional

from faceedit.faces.alignment import TEMPLATE, alignment, crop_face
from faceedit.faces.detector import FaceDetector
from faceedit.media.image import read_photo
from faceedit.models.expression import MOTION, Motion
from faceedit.models.face_mesh import (
    BROWS,
    IRISES,
    LIPS,
    LOWER_LIP,
    LOWER_LIP_OUTSIDE,
    NOSE_TIP,
    POINTS,
    STILL,
    UPPER_LIP,
    UPPER_LIP_OUTSIDE,
    point_indices,
)
from faceedit.models.landmarker import mirrored
from faceedit.models.lips import (
    GRID,
    LOWER,
    OUTER_EDGES,
    UPPER,
    between_lips,
    brightness,
    kept_teeth,
    kept_teeth_edge,
    lip_condition,
    lip_opening,
    signed_distance,
    teeth_visibility,
)
from faceedit.models.mouth import Mouth
from faceedit.models.mouth.settings import MOUTH
from faceedit.models.palette import palette
from faceedit.training.expression import fit, outside, parting
from faceedit.weights import load_weights
from tests.conftest import ASTRONAUT


@pytest.fixture(scope="module")
def mean():
    """Landmarks of no face, but symmetrical; the lips lie at y 0.7 and 0.74, their outer edges at 0.66 and 0.8, corners
    at x 0.35 and 0.65."""
    landmarks = torch.rand(1, len(POINTS), 2, generator=torch.Generator().manual_seed(0))
    landmarks = (landmarks + mirrored(landmarks)) / 2
    edges = ((UPPER_LIP, 0.70), (LOWER_LIP, 0.74), (UPPER_LIP_OUTSIDE, 0.66), (LOWER_LIP_OUTSIDE, 0.80))
    for lip, y in edges:
        landmarks[0, point_indices(lip)] = torch.stack([torch.linspace(0.35, 0.65, 11), torch.full((11,), y)], dim=1)
    return landmarks[0]


def fitted(landmarks, affect, shown=None):
    motion = Motion()
    fit(motion, landmarks, torch.zeros(len(affect), *GRID) if shown is None else shown, affect)
    return motion


def drawn(motion, before, after, target, teeth):
    """What a mouth draws in whole crops of 96 pixels."""
    mouth = Mouth(before, after, kept_teeth(before, teeth), 96, (slice(0, 96), slice(0, 96)))
    return mouth.distance(), mouth.teeth_logits(motion.texture(target))


@pytest.fixture(scope="module")
def geometry(mean):
    """A thousand faces, each turned and moved, whose lips are farther apart the higher their arousal; where valence is
    high, teeth show between them, and dark at the corners."""
    draws = torch.Generator().manual_seed(1)
    affect = torch.rand(1000, 2, generator=draws) - 0.5
    faces = mean.expand(1000, -1, -1).clone()
    lower = [place for place in point_indices(LOWER_LIP) if place not in point_indices(UPPER_LIP)]
    faces[:, lower, 1] += 0.08 * affect[:, 1:]
    turn = (0.1j * (torch.rand(1000, 1, generator=draws) - 0.5)).exp()
    faces = torch.view_as_real(torch.view_as_complex(faces - 0.5) * turn) + 0.5
    shown = (0.5 + affect[:, :1, None]).expand(-1, *GRID).clone()
    shown[:, :, [0, 1, -2, -1]] = 0
    return fitted(faces, affect, shown), faces, affect, turn


def test_mirrored_twice_is_the_same(mean):
    landmarks = torch.rand(2, len(POINTS), 2)
    torch.testing.assert_close(mirrored(mirrored(landmarks)), landmarks)
    assert not torch.equal(mirrored(landmarks)[..., 1], landmarks[..., 1])
    torch.testing.assert_close(mirrored(mean[None])[0], mean)


@pytest.mark.parametrize("mirror", [False, True])
def test_landmarks_move_as_affect_moves_them_in_the_photos(geometry, mirror):
    moves, faces, affect, turn = geometry
    chosen = torch.arange(4)
    target = torch.tensor([[0.2, 0.4]]).expand(4, -1)
    before = mirrored(faces[chosen]) if mirror else faces[chosen]
    after = moves(before, affect[chosen], target)
    turned = turn[chosen].conj() if mirror else turn[chosen]
    way = torch.view_as_complex(after - before) / turned
    torch.testing.assert_close(way.abs()[:, point_indices(STILL)], torch.zeros(4, len(STILL)), atol=2e-3, rtol=0)
    middle = point_indices((14,))[0]
    torch.testing.assert_close(way[:, middle].imag, 0.08 * (target - affect[chosen])[:, 1], atol=2e-3, rtol=0)


def test_brows_are_plainer_than_the_average(mean):
    affect = torch.rand(1000, 2, generator=torch.Generator().manual_seed(1)) - 0.5
    faces = mean.expand(1000, -1, -1).clone()
    raised = torch.tensor(point_indices(BROWS + LIPS))
    faces[:, raised, 1] -= 0.02 * affect[:, 1:]
    before, source, target = mean[None], torch.zeros(1, 2), torch.tensor([[0.0, 0.4]])
    rise = (before - fitted(faces, affect)(before, source, target))[0, :, 1] / 0.4
    for points, factor in ((BROWS, MOTION.emphasis), (LIPS, 1.0), (IRISES, 0.0)):
        torch.testing.assert_close(
            rise[point_indices(points)], torch.full((len(points),), 0.02 * factor), atol=1e-3, rtol=0
        )


def test_few_mouths_that_gape_open_no_others(mean):
    affect = torch.rand(1000, 2, generator=torch.Generator().manual_seed(1)) - 0.5
    faces = mean.expand(1000, -1, -1).clone()
    lower = torch.tensor([place for place in point_indices(LOWER_LIP) if place not in point_indices(UPPER_LIP)])
    gaping = torch.rand(1000, generator=torch.Generator().manual_seed(2)) < 0.4 * (0.5 - affect[:, 0])
    faces[gaping.nonzero(), lower, 1] += 0.1
    before = mean[None]
    after = fitted(faces, affect)(before, torch.tensor([[0.4, 0.0]]), torch.tensor([[-0.4, 0.0]]))
    torch.testing.assert_close(lip_opening(after), lip_opening(before), atol=2e-3, rtol=0)


def test_lips_close_and_do_not_cross(geometry):
    moves, faces, affect, _ = geometry
    chosen = affect[:, 1].argsort()[-4:]  # open mouths
    before = faces[chosen]
    after = moves(before, affect[chosen], affect[chosen] - 2.0)
    assert (lip_opening(before) > 0.05).all()
    torch.testing.assert_close(lip_opening(after), torch.zeros(4))


def test_lips_part_as_far_as_they_are_let(geometry):
    moves, faces, affect, _ = geometry
    moves = deepcopy(moves)
    moves.lip_coefficients[LOWER[1:-1]] = torch.tensor([0.0, 1.0])  # which fitting finds where faces differ
    chosen = affect[:, 1].argsort()[[100, 500]]
    before, source = faces[chosen], affect[chosen]
    gaps = []
    for share in (1.0, 0.5, 0.0):
        gaps.append(lip_opening(moves(before, source, source + 0.3, parting=torch.full((2,), share))))
    torch.testing.assert_close(gaps[0], lip_opening(moves(before, source, source + 0.3)))
    torch.testing.assert_close(gaps[2], lip_opening(before), atol=2e-3, rtol=0)
    torch.testing.assert_close(gaps[1], (gaps[0] + gaps[2]) / 2, atol=2e-3, rtol=0)
    assert (gaps[0] - gaps[2] > 0.01).all()
    closing = [lip_opening(moves(before, source, source - 0.3, parting=share)) for share in (None, torch.zeros(2))]
    torch.testing.assert_close(*closing)


def test_how_deep_a_place_lies_between_the_lips(mean):
    deep = signed_distance(mean[None], 100)[0]
    assert deep[71:73, 50].tolist() == pytest.approx([1.5, 1.5], abs=1e-3)
    assert deep[72, 34] <= -0.5  # beside it, by half a pixel
    assert (deep > 0).sum() == pytest.approx(30 * 4, rel=0.1)
    assert deep[60, 50] == pytest.approx(-9.5, abs=1e-3)


def test_teeth_are_seen_between_the_lips_only(mean):
    images = torch.full((1, 3, 96, 96), 0.2)
    images[:, :, 67:72] = torch.linspace(-1, 0.9, 96)  # dark at the left, teeth at the right
    (seen,) = brightness(between_lips(images, mean[None]), palette(images))
    assert seen.shape == GRID
    assert (seen.diff(dim=1) > 0).all()
    assert 0.2 < seen[0, 0] < 0.45  # at the corner of the mouth, not of the crop


def test_only_teeth_are_kept(mean):
    lips, white = ((0.4, -0.2, -0.1), (0.8, 0.8, 0.8))
    images = torch.full((3, 3, 96, 96), 0.2)
    images[:, :, 24:32, 24:72] = torch.tensor(white)[:, None, None]  # of the eyes
    images[:, :, 62:76, 34:62] = torch.tensor(lips)[:, None, None]
    images[1, :, 67:72, 34:62] = torch.tensor(white)[:, None, None]
    images[2, :, 67:72, 34:62] = -0.8
    before = mean.expand(3, -1, -1)
    teeth = teeth_visibility(between_lips(images, before), palette(images))
    assert teeth[1] > 0.8
    assert teeth[[0, 2]].max() < 0.1
    after = before.clone()
    after[:, LOWER, 1] += 0.05
    counts = kept_teeth_edge(before, after, teeth)[1]
    assert counts[1] == pytest.approx(1)
    assert counts[[0, 2]].max() < 0.6


def test_a_turned_face_moves_as_it_looks_from_there(mean):
    draws = torch.Generator().manual_seed(2)
    affect, aside = torch.rand(4000, 2, generator=draws) - 0.5, torch.rand(4000, 1, generator=draws) - 0.5
    faces = mean.repeat(4000, 1, 1)
    faces[:, point_indices(NOSE_TIP), 0] += 0.2 * aside
    corners = point_indices((61, 291))
    faces[:, corners, 0] += 0.1 * affect[:, :1] * (torch.tensor([[-1.0, 1.0]]) - aside)  # less on the far side
    moves = fitted(faces, affect)
    chosen = aside[:, 0].argsort()[-4:]
    for mirror, (near, far) in ((False, (0, 1)), (True, (1, 0))):
        target = affect[chosen] + torch.tensor([0.3, 0.0])
        before = mirrored(faces[chosen]) if mirror else faces[chosen]
        after = moves(before, affect[chosen], target)
        way = (after - before)[:, corners, 0].abs()
        torch.testing.assert_close(way[:, near], torch.full((4,), 0.045), atol=3e-3, rtol=0)
        torch.testing.assert_close(way[:, far], torch.full((4,), 0.015), atol=3e-3, rtol=0)


def test_lips_open_as_others_do_whatever_they_did_before(mean):
    """Some lips are wider apart, at any affect, and bring down the chin; and faces seem turned up by that, in part."""
    draws = torch.Generator().manual_seed(3)
    affect, apart, up = torch.rand(4000, 2, generator=draws) - 0.5, *torch.rand(2, 4000, 1, generator=draws)
    faces = mean.repeat(4000, 1, 1)
    lower = [place for place in point_indices(LOWER_LIP) if place not in point_indices(UPPER_LIP)]
    chin = point_indices((152,))
    faces[:, lower, 1] += 0.08 * affect[:, 1:] + 0.04 * apart
    faces[:, chin, 1] += 0.02 * apart
    faces[:, point_indices(NOSE_TIP), 1] -= 0.05 * (apart + up)
    moves = fitted(faces, affect)
    chosen = torch.cat([apart[:, 0].argsort()[:4], apart[:, 0].argsort()[-4:]])
    source = affect[chosen]
    for way, gone in ((0.0, 0.0), (0.25, 0.35), (0.6, 0.7)):
        target = source - way * torch.sign(source) * torch.tensor([1.0, 0.0])
        before, after = faces[chosen], moves(faces[chosen], source, target)
        nearer = gone * 0.04 * (0.5 - apart[chosen, 0])
        torch.testing.assert_close(lip_opening(after) - lip_opening(before), nearer, atol=2e-3, rtol=0)
        torch.testing.assert_close((after - before)[:, chin[0], 1], nearer / 2, atol=1e-3, rtol=0)


def test_a_mouth_is_drawn_where_lips_part_that_were_closed(geometry):
    moves, faces, affect, _ = geometry
    closed = affect[:, 1].argsort()[:4]
    target = torch.tensor([[0.4, 0.45]]).expand(4, -1)
    before, after = faces[closed], moves(faces[closed], affect[closed], target)
    kept_teeth, counts = kept_teeth_edge(before, after, torch.ones(4))
    assert torch.equal(kept_teeth, after[:, UPPER])
    assert not counts.any()
    (deep, logits), parts = drawn(moves, before, after, target, torch.ones(4)), parting(before, after, 96)
    inside = signed_distance(after, 96)[:, None] > 1
    assert inside.flatten(1).any(1).all()
    assert deep[inside].min() > 1
    assert (logits[inside] > 0).float().mean() > 0.7  # teeth, but for the corners
    assert parts[inside].min() == 1
    # What stays closed is neither drawn nor free to part.
    after = moves(before, affect[closed], affect[closed])
    assert lip_opening(before).max() < 0.01
    (deep, _), parts = drawn(moves, before, after, affect[closed], torch.ones(4)), parting(before, after, 96)
    assert deep.max() < 0.5
    assert parts.max() < 0.5
    assert deep.min() < -MOUTH.max_distance


def test_an_open_mouth_keeps_what_it_shows_and_is_drawn_below_it(geometry):
    moves, faces, affect, turn = geometry
    chosen = (affect[:, 1] - 0.2).abs().argsort()[:4]
    target = torch.tensor([[0.0, 1.0]]).expand(4, -1)
    # Upright, so that lips are level: teeth stay at each place across, whichever point of a lip comes there.
    before = torch.view_as_real(torch.view_as_complex(faces[chosen] - 0.5) / turn[chosen]) + 0.5
    after = moves(before, affect[chosen], target)
    after[:, UPPER, 1] += 0.02
    kept_teeth, counts = kept_teeth_edge(before, after, torch.ones(4))
    assert counts.tolist() == [1, 1, 1, 1]
    middle = len(UPPER) // 2
    lower = LOWER[middle]
    torch.testing.assert_close(kept_teeth[:, middle, 1], before[:, lower, 1])  # teeth stay where they are
    (deep, logits), parts = drawn(moves, before, after, target, torch.ones(4)), parting(before, after, 96)
    column = 48
    inside = signed_distance(after, 96)[:, :, column] > 0.5
    seen = deep[:, 0, :, column] > 0.5
    assert (seen <= inside).all()
    share = seen.sum(1) / inside.sum(1)
    new = after[:, lower, 1] - before[:, lower, 1]
    torch.testing.assert_close(share, new / lip_opening(after), atol=0.15, rtol=0)
    for i in range(4):  # at the bottom
        assert seen[i].nonzero().max() == inside[i].nonzero().max()
    assert parts[:, 0][signed_distance(after, 96) > 0].min() == 1
    assert logits.max() < 0
    # Where lips close, nothing of it counts.
    after = moves(before, affect[chosen], affect[chosen] - 0.3)
    assert not kept_teeth_edge(before, after, torch.ones(4))[1].any()


def test_teeth_stay_where_they_are_at_the_sides_of_a_mouth_that_narrows(mean):
    """Their edge, an arch: half way to its end it is what it was there, and not half way along what is left of it."""
    before = mean[None].clone()
    along = before[:, LOWER, 0]
    before[:, LOWER, 1] = 0.78 - 2 * (along - 0.5) ** 2
    after = before.clone()
    after[..., 0] = 0.5 + 0.6 * (after[..., 0] - 0.5)
    after[:, LOWER, 1] += 0.05
    kept_teeth, counts = kept_teeth_edge(before, after, torch.ones(1))
    assert counts == 1
    inner = kept_teeth[:, 1:-1]
    torch.testing.assert_close(inner[..., 1], 0.78 - 2 * (inner[..., 0] - 0.5) ** 2, atol=1e-3, rtol=0)
    deep, _ = drawn(Motion(), before, after, torch.zeros(1, 2), torch.ones(1))
    column = round(96 * float(inner[0, 1, 0]))
    top = (deep[0, 0, :, column] > 0.5).nonzero().min() / 96
    assert top == pytest.approx(float(inner[0, 1, 1]), abs=1 / 96)


@pytest.mark.parametrize("teeth", [0.0, 1.0])
def test_lips_that_have_closed_leave_a_dark_line(mean, teeth):
    moves, before = Motion(), mean[None]
    moves.texture_coefficients[0] = 1  # teeth, had they stayed open
    after = before.clone()
    after[:, LOWER[1:-1], 1] = after[:, UPPER[1:-1], 1]  # 0.7
    deep, logits = drawn(moves, before, after, torch.zeros(1, 2), torch.full((1,), teeth))
    line = deep[0, 0, :, 48] > 0.1
    assert line.nonzero()[:, 0].tolist() == [66, 67]
    assert logits[0, 0, line, 48].max() < 0
    assert deep[0, 0, :, :32].max() < 0
    for still in (before, after):  # what does not move gets none
        deep, _ = drawn(moves, still, still, torch.zeros(1, 2), torch.ones(1))
        assert deep.max() < 0.5


def test_at_its_edge_a_lip_moves_as_it_does_further_away(mean):
    after = mean[None].clone()
    after[:, LOWER[1:-1], 1] = after[:, UPPER[1:-1], 1]  # closed, at 0.7
    across, down = ((torch.arange(100) + 0.5) / 50 - 1).expand(100, -1), (torch.arange(60, 80) + 0.5)[:, None]
    heights = torch.stack([across, across.T])[None]  # a flow that tells where it is seen
    lips = Mouth(mean[None], after, torch.zeros(1), 100, (slice(60, 80), slice(0, 100))).lips
    columns, rows = lips.discontinuous(heights)[0]
    rows = (rows + 1) * 50
    middle = rows[:, 50]
    still = [*range(8), *range(12, 20)]
    torch.testing.assert_close(middle[still], down[still, 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(middle[8:12], torch.tensor([67.6, 67.6, 72.4, 72.4]), atol=1e-2, rtol=0)
    for beside in (30, 70):  # where no mouth is
        torch.testing.assert_close(rows[:, beside], down[:, 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(columns, across[60:80], atol=1e-4, rtol=0)


def test_lips_lie_where_they_shall_whatever_the_networks_draw(geometry):
    moves, faces, affect, _ = geometry
    before, source, target = faces[:8], affect[:8], affect[:8].flip(0)
    after = moves(before, source, target)
    lips = Mouth(before, after, torch.zeros(8), 96, (slice(0, 96), slice(0, 96))).lips
    drawn = torch.randn(8, 2, 3, 3, generator=torch.Generator().manual_seed(0)) * 0.04
    drawn = functional.interpolate(drawn, (96, 96), mode="bilinear")
    flow = lips.discontinuous(drawn) + lips.missing(drawn)
    inner, outer = torch.tensor(UPPER[1:-1] + LOWER[1:-1]), torch.tensor([x for lip in OUTER_EDGES for x in lip[3:-3]])

    def missed(flow, edges, beside):
        grid = (after + beside / 96)[:, None, edges] * 2 - 1
        seen = functional.grid_sample(flow, grid, align_corners=False)[:, :, 0].transpose(1, 2)
        return (48 * seen - 96 * (before - after)[:, edges]).norm(dim=2)

    for edges, beside in ((inner, outside()), (outer, 0)):
        assert missed(drawn, edges, beside).median() > 1
        assert missed(flow, edges, beside).median() < 0.1
    far = torch.zeros(96, 96, dtype=torch.bool)
    far[:40] = True
    torch.testing.assert_close(flow[..., far], drawn[..., far])


def test_lips_that_get_thicker_stretch_evenly_between_their_edges(geometry):
    """And no others, whose line may lie beside its landmarks."""
    _, faces, _, _ = geometry
    before = faces[:8]
    flow = torch.randn(8, 2, 96, 96, generator=torch.Generator().manual_seed(0)) * 0.04
    for growth, share_of_it in ((0.06, 1), (0.0, 0)):
        after = before.clone()
        after[:, list(OUTER_EDGES[0][1:-1]), 1] -= growth
        after[:, list(OUTER_EDGES[1][1:-1]), 1] += growth
        lips = Mouth(before, after, torch.zeros(8), 96, (slice(0, 96), slice(0, 96))).lips
        evened = flow + lips.uneven(flow)
        inner = torch.cat([lips.upper, lips.lower], dim=1)  # (8, 2, W), of both lips
        amid = (96 * (lips.outside - inner).abs() > 2.5) & (lips._inwards > 0.08)[:, None]
        assert amid.sum() > 50
        for share in (0.35, 0.5, 0.65):
            rows = (96 * torch.lerp(inner, lips.outside, share)).long()
            drawn, seen = (
                x.gather(2, rows[:, None].expand(-1, 2, -1, -1)).transpose(1, 2)  # (8, 2, 2, W)
                for x in (flow, evened)
            )
            there = ((rows + 0.5) / 96 - inner) / (lips.outside - inner)
            wanted = torch.lerp(drawn, torch.lerp(lips.moves, lips.outside_moves, there[:, :, None]), share_of_it)
            torch.testing.assert_close(seen.movedim(2, 3)[amid], wanted.movedim(2, 3)[amid], atol=1e-4, rtol=0)
        torch.testing.assert_close(evened[:, :, :40], flow[:, :, :40])


def test_lips_that_turn_back_on_themselves_give_numbers_still(geometry):
    moves, faces, affect, _ = geometry
    before = faces[:4]
    after = moves(before, affect[:4], affect[:4] + 0.3)
    after[:, UPPER[-3:], 0] -= 0.1
    after[:, LOWER[-3:], 0] -= 0.1
    for found in (*drawn(moves, before, after, affect[:4] + 0.3, torch.ones(4)), parting(before, after, 96)):
        assert found.isfinite().all()


def test_the_published_network_finds_the_landmarks_of_a_photo():
    photo = read_photo(ASTRONAUT).pixels
    face = FaceDetector().detect(photo)[0]
    crop = crop_face(photo, alignment(face.landmarks, 96), 96)
    image = torch.from_numpy(crop).permute(2, 0, 1)[None] / 127.5 - 1
    model = load_weights("landmarks", kinds=("landmarks",)).model
    found, flipped = model(image)[0], mirrored(model(image.flip(3)))[0]
    eyes = torch.tensor(TEMPLATE[:2], dtype=torch.float32)
    assert (found[point_indices(IRISES)] - eyes).norm(dim=1).max() < 0.03
    assert (found - flipped).norm(dim=1).mean() < 0.02
    mouth = found[point_indices(LIPS)]
    torch.testing.assert_close(mouth.mean(0), torch.tensor([0.5, 0.7]), atol=0.04, rtol=0)
    teeth = teeth_visibility(between_lips(image, found[None]), palette(image))
    apart, shown = lip_condition(found[None], teeth)[0]
    assert apart > 0.3  # she smiles
    assert shown > 0.9
    found[point_indices(LOWER_LIP)] = found[point_indices(UPPER_LIP)]
    assert not lip_condition(found[None], teeth).any()
