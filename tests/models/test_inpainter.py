import pytest
import torch

from faceedit.config import MouthConfig
from faceedit.models.face_mesh import POINTS
from faceedit.models.lips import GRID, LOWER, UPPER, upper_teeth_end
from faceedit.models.mouth.inpainter import (
    LATENTS,
    MOUTH_KINDS,
    TYPICAL_BLUR,
    MouthEncoder,
    MouthInpainter,
    choose,
    describe,
    edit_mask,
    mouth_mask,
    region,
    shown_to_network,
)

TINY = MouthConfig(128, 4, (8, 8, 8), 8, 8, (8, 8, 8, 8))
SIZE = 256


def mouth(opening: float) -> torch.Tensor:
    """Landmarks (1, K, 2) of a mouth from 0.35 to 0.65 across, whose middle lies at 0.75 and is open that far."""
    landmarks = torch.rand(1, len(POINTS), 2, generator=torch.Generator().manual_seed(0))
    across = torch.linspace(0, 1, len(UPPER))
    bow = 2 * opening * across * (1 - across)
    for places, sign in ((UPPER, -1), (LOWER, 1)):
        landmarks[0, places] = torch.stack([0.35 + 0.3 * across, 0.75 + sign * bow], dim=1)
    return landmarks


def at(mask: torch.Tensor, x: float, y: float) -> float:
    """What a mask says at a place in a crop, in shares of its side."""
    rows, columns = region(SIZE)
    return mask[0, 0, round(y * SIZE) - rows.start, round(x * SIZE) - columns.start].item()


def test_a_mask_hides_what_lies_between_the_lips():
    mask = mouth_mask(mouth(0.1), SIZE, 0.0)
    assert mask.shape == (1, 1, 96, 160)
    assert [at(mask, 0.5, y) for y in (0.68, 0.72, 0.78, 0.82)] == [0, 1, 1, 0]
    assert at(mask, 0.33, 0.75) == at(mask, 0.67, 0.75) == 0
    rise = mouth_mask(mouth(0.1), SIZE, 2.0)[0, 0, :, 80].sum() - mask[0, 0, :, 80].sum()
    assert rise.item() == pytest.approx(4, abs=0.1)  # pixels, above and below


def test_teeth_that_stay_are_not_hidden():
    mask = mouth_mask(mouth(0.1), SIZE, 0.0, keep=0.5)
    assert at(mask, 0.5, 0.72) == 0
    assert at(mask, 0.5, 0.78) == 1


def test_a_mask_reaches_around_the_corners_as_far_as_asked():
    bare, around = (mouth_mask(mouth(0.1), SIZE, 0.0, corners=radius) for radius in (0.0, 12.0))
    for x in (0.33, 0.67):
        assert at(bare, x, 0.75) == 0
        assert at(around, x, 0.75) > 0.9
    assert at(around, 0.29, 0.75) == at(around, 0.35, 0.81) == 0
    assert torch.equal(around[..., 70:90], bare[..., 70:90])  # away from both


def test_upper_teeth_end_where_the_dark_begins():
    seen = torch.full((4, 3, *GRID), -0.8)
    seen[0, :, :4] = seen[3, :, 8:] = 0.7  # above the dark, and below it alone
    seen[1] = 0.7
    seen[2, :, 1:6] = 0.2
    seen[2, :, 9:] = 0.9  # lower teeth are brighter
    ends = upper_teeth_end(seen)
    assert ends[[0, 2]].tolist() == pytest.approx([4 / 12, 6 / 12])
    assert ends[[1, 3]].isnan().all()


def test_closed_lips_leave_a_line():
    assert mouth_mask(mouth(0.0), SIZE, 0.0)[0, 0, :, 80].sum() <= 1
    assert mouth_mask(mouth(0.0), SIZE, 3.0)[0, 0, :, 80].sum().item() == pytest.approx(7, abs=1)


def test_the_painter_sees_nothing_of_what_is_hidden():
    torch.manual_seed(0)
    inpainter = MouthInpainter(TINY)
    for parameter in inpainter.parameters():  # some begin at nothing
        torch.nn.init.normal_(parameter, std=0.2)
    images, mask = torch.rand(2, 3, 32, 48) * 2 - 1, torch.zeros(2, 1, 32, 48)
    mask[..., 8:24, 8:40] = 1
    condition = describe(torch.ones(2), mouth(0.1).expand(2, -1, -1))
    z = torch.zeros(2, TINY.z_dim)
    other = torch.where(mask > 0, -images, images)
    assert torch.equal(inpainter(images, mask, condition, z), inpainter(other, mask, condition, z))
    assert not torch.equal(inpainter(images, mask, condition, z), inpainter(-images, mask, condition, z))
    assert not torch.equal(inpainter(images, mask, condition, z), inpainter(images, mask, condition, z + 1))
    softer = condition + torch.tensor([1.0, 0.0])
    assert not torch.equal(inpainter(images, mask, condition, z), inpainter(images, mask, softer, z))


def test_a_network_sees_parted_lips_smoothed_and_teeth_that_stay_as_they_are():
    landmarks = mouth(0.2)
    mask = mouth_mask(landmarks, SIZE, 1.0, keep=0.5)
    images = torch.rand(1, 3, *mask.shape[2:], generator=torch.Generator().manual_seed(0))
    hidden = torch.where(mask == 1, -5.0, images)  # no colour of what is hidden leaks
    shown = shown_to_network(hidden, mask, landmarks)
    assert torch.allclose(shown * (1 - mask), shown_to_network(images, mask, landmarks) * (1 - mask), atol=1e-4)
    rows, columns = region(SIZE)
    teeth = round(0.70 * SIZE) - rows.start, round(0.5 * SIZE) - columns.start
    assert torch.equal(shown[..., teeth[0], teeth[1]], images[..., teeth[0], teeth[1]])
    beside = shown[..., :30, :20]
    assert beside.std() < 0.3 * images[..., :30, :20].std()
    assert beside.mean().item() == pytest.approx(0.5, abs=0.03)
    closed = shown_to_network(images, mask, mouth(0.01))
    assert torch.equal((closed * (1 - mask))[..., :30, :20], images[..., :30, :20])


def test_a_person_chooses_a_mouth_and_affect_and_kept_teeth_its_kind():
    model = MouthInpainter(TINY)
    model.latents[:] = torch.arange(MOUTH_KINDS * LATENTS).view(MOUTH_KINDS, LATENTS, 1)
    person = torch.zeros(1, LATENTS)
    person[0, 5] = 1.5  # a little above what others choose by chance

    def drawn(valence, kept, opening=0.05):
        choice = choose(person, *(torch.tensor([x]) for x in (valence, opening, kept)))
        assert choice.sum().item() == pytest.approx(1)
        return model.latent(choice)[0, 0].item()

    smiling, laughing, opened, below = (LATENTS * kind + 5 for kind in range(MOUTH_KINDS))
    assert drawn(0.8, 0.0) == pytest.approx(smiling, abs=0.01)
    assert drawn(-0.5, 0.0) == drawn(0.1, 0.0) == pytest.approx(opened, abs=0.01)
    assert drawn(0.8, 0.0, opening=0.15) == pytest.approx(laughing, abs=0.01)
    assert smiling + 2 < drawn(0.4, 0.0) < opened - 2  # no jump between them
    assert drawn(0.8, 1.0) == drawn(-0.5, 1.0) == pytest.approx(below, abs=0.01)


def test_the_encoder_sees_only_what_is_hidden():
    torch.manual_seed(0)
    encoder = MouthEncoder(TINY).eval()
    images, mask = torch.rand(1, 3, 32, 48) * 2 - 1, torch.zeros(1, 1, 32, 48)
    mask[..., 8:24, 8:40] = 1
    other = torch.where(mask > 0, images, -images)
    assert torch.equal(encoder(images, mask)[0], encoder(other, mask)[0])
    assert not torch.equal(encoder(images, mask)[0], encoder(-images, mask)[0])


def test_the_condition_tells_softness_and_opening():
    (said,) = describe(torch.full((1,), TYPICAL_BLUR + 1), mouth(0.1))
    assert said.tolist() == pytest.approx([1, 1])  # opened by a tenth of the side


def test_an_edit_paints_what_it_opens_and_nothing_at_the_source():
    closed, opened = mouth(0.0), mouth(0.1)
    near, far = torch.zeros(1, 2), torch.tensor([[0.0, 0.8]])

    def hidden(before, after, teeth, target):
        return edit_mask(before, after, torch.tensor([teeth]), near, target)[:, None]

    assert at(hidden(closed, opened, 0.0, far), 0.5, 0.78) == 1
    assert not hidden(closed, opened, 0.0, near).any()
    assert not hidden(closed, closed, 0.0, far).any()
    kept = hidden(mouth(0.05), opened, 1.0, far)  # teeth that show stay, and what is below them is inpainted
    assert at(kept, 0.5, 0.73) == 0
    assert at(kept, 0.5, 0.79) == 1


def test_corners_are_inpainted_where_lips_part_or_meet_alone():
    near, far = torch.zeros(1, 2), torch.tensor([[0.0, 0.8]])

    def at_corner(before, after):
        return at(edit_mask(mouth(before), mouth(after), torch.zeros(1), near, far)[:, None], 0.33, 0.75)

    assert at_corner(0.0, 0.1) > 0.5
    assert at_corner(0.1, 0.0) > 0.5
    assert at_corner(0.1, 0.1) == 0
