import numpy as np

from faceedit.circumplex import affect_grid, grid_axis
from faceedit.media.sheet import circumplex_grid, paper_sheet, tile


def coloured_cells(side):
    """Cells whose red tells their valence and whose green tells their arousal."""
    targets = affect_grid(grid_axis())
    cells = np.zeros((49, side, side, 3), np.uint8)
    cells[..., :2] = ((targets + 1) * 100).astype(np.uint8)[:, None, None]
    return cells.reshape(7, 7, side, side, 3)


def test_tile_keeps_rows_and_columns():
    cells = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((6, 2, 3, 3), np.uint8)
    sheet = tile(cells.reshape(2, 3, 2, 3, 3))
    assert sheet.shape == (4, 9, 3)
    assert sheet[0, 0, 0] == 0
    assert sheet[0, -1, 0] == 2
    assert sheet[-1, 0, 0] == 3


def test_the_papers_sheet_has_its_size_and_order():
    cells = coloured_cells(96)
    sheet = paper_sheet(np.full((96, 96, 3), 77, np.uint8), cells)
    assert sheet.shape == (672, 960, 3)
    red, green = sheet[48::96, 288 + 48 :: 96, 0], sheet[48::96, 288 + 48 :: 96, 1]
    assert (np.diff(red.astype(int), axis=0) < 0).all()  # valence falls downwards
    assert (np.diff(green.astype(int), axis=1) < 0).all()  # arousal falls rightwards
    assert (sheet[336, :288] == 77).any()


def test_the_circumplex_grid_shows_every_cell_the_source_and_what_is_unsupported():
    cells = coloured_cells(64)
    plain = circumplex_grid(cells, grid_axis())
    for row, column in ((0, 0), (3, 5), (6, 6)):
        assert (plain == cells[row, column, 0, 0]).all(-1).sum() >= 64 * 64 * 0.99
    unsupported = np.zeros((7, 7), bool)
    unsupported[0, 6] = True
    marked = circumplex_grid(cells, grid_axis(), (0.75, -0.75), unsupported)
    assert marked.shape == plain.shape
    changed = (marked != plain).any(-1)
    height, width = changed.shape
    assert changed[: height // 4, 3 * width // 4 :].any()  # the dashes, top right
    assert changed[3 * height // 4 :, 3 * width // 4 :].any()  # the frame, bottom right
    middle = slice(2 * height // 5, 3 * height // 5), slice(2 * width // 5, 3 * width // 5)
    assert not changed[middle].any()
