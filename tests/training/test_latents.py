import pytest
import torch
from torch import nn

from faceedit.data.crops import Crops
from faceedit.models.mouth.inpainter import LATENTS, MOUTH_KINDS, region
from faceedit.training import latents
from faceedit.training.latents import choose_latents
from tests.models.test_inpainter import mouth

SIZE, OPENING = 128, 0.2
LIP = 0.75 - OPENING / 2  # the y of the upper lip, in the middle
DARK, HAZE = 10.0, 120.0
ROWS, COLUMNS = region(SIZE)
DOWN = ((torch.arange(SIZE) + 0.5) / SIZE - LIP) / OPENING  # shares of the opening


class Rows(nn.Module):
    """An inpainter that draws what its latents say, row by row."""

    def __init__(self):
        super().__init__()
        self.latents = torch.zeros(MOUTH_KINDS, LATENTS, ROWS.stop - ROWS.start)

    def forward(self, images, mask, condition, z):
        return z[:, None, :, None].expand_as(images).clone()


class Gaps(Rows):
    """An inpainter that draws teeth, with gaps between them where its latents begin with 1, as bright with and without;
    and the dark below."""

    def forward(self, images, mask, condition, z):
        across = torch.arange(images.shape[-1]) % 4 < 2
        teeth = 0.5 + 0.3 * z[:, :1, None] * torch.where(across, 1.0, -1.0)
        above = (DOWN[ROWS] < 0.4)[None, :, None]
        return torch.where(above, teeth, -0.9)[:, None].expand_as(images).clone()


def marked(images, mask):
    """A latent that begins with 1 where the region's first pixel is white, and with 0 elsewhere."""
    code = torch.zeros(len(images), ROWS.stop - ROWS.start)
    code[:, 0] = images[:, 0, 0, 0] == 1
    return code, code


def encode(images, mask):
    """How bright what is hidden is, row by row, as a latent; and no deviation."""
    seen = (images * mask).sum((1, 3)) / (3 * mask.sum((1, 3)) + 1e-3)
    return seen, torch.zeros_like(seen)


def mouths(kinds):
    """Crops of mouths (end, light of teeth, light below): teeth end at that share of the opening."""
    images = torch.full((len(kinds), 3, SIZE, SIZE), 60.0)
    for image, (end, teeth, below) in zip(images, kinds, strict=True):
        image[:, (DOWN >= 0) & (DOWN <= 1)] = below
        image[:, (DOWN >= 0) & (end > DOWN)] = teeth
    affect = torch.zeros(len(kinds), 2)
    return Crops(images.byte(), affect, affect[:, 0].long(), torch.zeros(len(kinds), 8))


def chosen(crops):
    model = Rows()
    choose_latents(model, encode, crops, mouth(OPENING).expand(len(crops), -1, -1), torch.ones(len(crops)))
    return model.latents


def light(z, top, bottom):
    """How bright latents (N, Z) draw a mouth between two shares of its opening, (N,), of 255."""
    return (z[:, (DOWN[ROWS] > top) & (DOWN[ROWS] < bottom)].mean(1) + 1) * 127.5


def test_soft_photos_serve_where_there_are_no_others():
    model, crops = Rows(), mouths([(0.4, 200.0, DARK)] * 3)
    choose_latents(model, encode, crops, mouth(OPENING).expand(3, -1, -1), torch.full((3,), 5.0))
    assert model.latents.any(2).all()


def test_edits_draw_by_mouths_that_show_teeth_above_the_dark():
    ends = 0.5, 0.4, 0.25  # in smiles, in laughter and in other mouths
    kinds = *((end, 220.0, DARK) for end in ends), (0.4, 220.0, HAZE), (0.0, 0.0, DARK)
    *whole, below = chosen(mouths([*kinds] * 20))
    for drawn, end in zip(whole, ends, strict=True):
        assert light(drawn, 0.05, end - 0.05).tolist() == pytest.approx([220] * LATENTS, abs=20)
        assert light(drawn, end + 0.1, 0.9).tolist() == pytest.approx([DARK] * LATENTS, abs=10)
    assert light(below, 0.6, 0.9).tolist() == pytest.approx([DARK] * LATENTS, abs=10)
    assert (light(below, 0.1, 0.2) < 160).all()  # no second row: of kept teeth they know nothing


def test_chosen_are_the_clearest_and_they_differ():
    smiling, *_ = chosen(mouths([(0.5, 100.0 + i, DARK) for i in range(150)]))
    assert len(smiling.unique(dim=0)) == LATENTS
    assert light(smiling, 0.1, 0.4).min() > 100 + 150 - 30 - 2  # of the clearest fifth


def test_teeth_that_can_be_told_apart_win(monkeypatch):
    """Of mouths that are as clear."""
    monkeypatch.setattr(latents, "BEST", 1.0)
    model, crops = Gaps(), mouths([(0.5, 200.0, DARK)] * 30)
    crops.images[::3, :, ROWS.start, COLUMNS.start] = 255
    choose_latents(model, marked, crops, mouth(OPENING).expand(30, -1, -1), torch.ones(30))
    assert (model.latents[:3, :, 0] == 1).all()


@pytest.mark.parametrize("kinds", [[(0.0, 0.0, DARK)] * 3, [(0.4, 200.0, DARK)]])
def test_a_few_mouths_or_none_that_show_teeth_are_no_trouble(kinds):
    found = chosen(mouths(kinds))
    assert found.isfinite().all()
    assert found.any() == (len(kinds) == 1)


def test_closed_mouths_are_no_trouble():
    model, crops = Rows(), mouths([(0.4, 200.0, DARK)] * 2)
    choose_latents(model, encode, crops, mouth(0.0).expand(2, -1, -1), torch.ones(2))
    assert not model.latents.any()
