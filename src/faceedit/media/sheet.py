"""Pictures made of many pictures: contact sheets and labelled grids of the circumplex. Arrays are HWC uint8 RGB."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BACKGROUND, INK, FAINT, ACCENT = (255, 255, 255), (30, 30, 30), (150, 150, 150), (214, 69, 20)
MARKS = ((214, 69, 20), (0, 114, 178), (0, 128, 96), (148, 60, 160), (120, 94, 0))
PLOT_SIDE = 720  # pixels
MARGIN = 0.5  # of a cell's side, on each side of a labelled grid

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def tile(cells: np.ndarray) -> np.ndarray:
    """Cells (rows, columns, H, W, 3) side by side without gaps, (rows · H, columns · W, 3)."""
    rows, columns, height, width, _ = cells.shape
    return cells.swapaxes(1, 2).reshape(rows * height, columns * width, 3)


def circumplex_grid(
    cells: np.ndarray,
    axis: np.ndarray,
    source: tuple[float, float] | None = None,
    unsupported: np.ndarray | None = None,
) -> np.ndarray:
    """A grid of edits as a reader expects the plane: valence left to right, arousal bottom to top, axes labelled.

    cells: (n, n, S, S, 3), the first row the highest arousal. axis: (n,) values from low to high. source: the input's
    affect: the nearest cell is framed, and both axes have a tick at its exact place. unsupported: (n, n) bool, cells
    to mark as beyond the training labels.
    """
    count, side = len(axis), cells.shape[2]
    gap = max(round(side * 0.04), 2)
    pitch = side + gap
    left = top = max(round(side * MARGIN), 44)
    width = height = 2 * left + count * pitch - gap
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=max(side * 0.14, 11))
    for row in range(count):
        for column in range(count):
            x, y = left + column * pitch, top + row * pitch
            sheet.paste(Image.fromarray(cells[row, column]), (x, y))
            if unsupported is not None and unsupported[row, column]:
                _mark_unsupported(draw, x, y, side)
    for i, value in enumerate(axis):
        centre = i * pitch + side / 2
        draw.text((left + centre, height - left + 2 * gap), f"{value:+.2f}", INK, font, anchor="mt")
        draw.text((left - 2 * gap, height - left - centre), f"{value:+.2f}", INK, font, anchor="rm")
    draw.text((width / 2, height - gap), "valence", INK, font, anchor="md")
    _draw_upwards(sheet, "arousal", font, gap, count % 2 * pitch // 2)  # beside no number
    if source is not None:
        _mark_source(draw, source, axis, (left, height - left), pitch, side)
        draw.text((left, gap), "orange: the input", ACCENT, font, anchor="lt")
    if unsupported is not None and unsupported.any():
        draw.text((width - left, gap), "dashed: beyond the labels", FAINT, font, anchor="rt")
    return np.asarray(sheet)


def paper_sheet(image: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The paper's sheet: the input at the left, rows valence from + to -, columns arousal from high to low.

    image: (S, S, 3). cells: (n, n, S, S, 3) as in `circumplex_grid`. The result is (n · S, (n + 3) · S, 3): 960×672 for
    a 7×7 grid of 96 pixels.
    """
    rearranged = cells.swapaxes(0, 1)[
        ::-1
    ]  # rows: valence from high to low; columns: arousal, already from high to low
    grid = tile(rearranged)
    side = image.shape[0]
    sheet = np.full((grid.shape[0], grid.shape[1] + 3 * side, 3), 255, np.uint8)
    sheet[:, 3 * side :] = grid
    y = (grid.shape[0] - side) // 2
    sheet[y : y + side, side : 2 * side] = image
    return sheet


def estimates_sheet(image: np.ndarray, faces: list[tuple[np.ndarray, float, float]]) -> np.ndarray:
    """A photo with its faces' boxes beside the circumplex with a mark for each face, the same number at both.

    faces: a box (4,) xyxy in pixels, valence and arousal for each.
    """
    scale = PLOT_SIDE / image.shape[0]
    photo = Image.fromarray(image).resize((max(round(image.shape[1] * scale), 1), PLOT_SIDE), Image.Resampling.LANCZOS)
    sheet = Image.new("RGB", (photo.width + PLOT_SIDE, PLOT_SIDE), BACKGROUND)
    sheet.paste(photo, (0, 0))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=PLOT_SIDE / 36)
    x, y, radius = photo.width + PLOT_SIDE / 2, PLOT_SIDE / 2, PLOT_SIDE * 0.4
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=FAINT, width=2)
    draw.line((x - radius, y, x + radius, y), FAINT)
    draw.line((x, y - radius, x, y + radius), FAINT)
    draw.text((x + radius, y + 4), "valence +1", INK, font, anchor="rt")
    draw.text((x - radius, y + 4), "-1", INK, font, anchor="lt")
    draw.text((x + 4, y - radius), "arousal +1", INK, font, anchor="ld")
    draw.text((x + 4, y + radius), "-1", INK, font, anchor="lt")
    for number, (box, valence, arousal) in enumerate(faces, 1):
        colour = MARKS[(number - 1) % len(MARKS)]
        left, top, right, bottom = (float(value) * scale for value in box)
        draw.rectangle((left, top, right, bottom), outline=colour, width=3)
        _draw_number(draw, (left, top), number, colour, font)
        _draw_number(draw, (x + valence * radius, y - arousal * radius), number, colour, font)
    return np.asarray(sheet)


def _draw_number(
    draw: ImageDraw.ImageDraw, centre: tuple[float, float], number: int, colour: Colour, font: Font
) -> None:
    """A disc with a number."""
    x, y = centre
    radius = PLOT_SIDE / 50
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    draw.text(centre, str(number), BACKGROUND, font, anchor="mm")


def _mark_unsupported(draw: ImageDraw.ImageDraw, x: int, y: int, side: int) -> None:
    """A dashed frame."""
    dash = max(side // 12, 3)
    for offset in range(0, side, 2 * dash):
        end = min(offset + dash, side - 1)
        for line in (
            (x + offset, y, x + end, y),
            (x + offset, y + side - 1, x + end, y + side - 1),
            (x, y + offset, x, y + end),
            (x + side - 1, y + offset, x + side - 1, y + end),
        ):
            draw.line(line, FAINT, max(side // 48, 1))


def _mark_source(
    draw: ImageDraw.ImageDraw,
    source: tuple[float, float],
    axis: np.ndarray,
    corner: tuple[int, int],
    pitch: int,
    side: int,
) -> None:
    """A frame around the cell nearest to the input, and a tick on each axis at its exact place."""
    left, bottom = corner
    step = axis[1] - axis[0] if len(axis) > 1 else 1
    places = [np.clip((value - axis[0]) / step, -0.5, len(axis) - 0.5) for value in source]
    column, row = (min(max(round(place), 0), len(axis) - 1) for place in places)
    width = max(side // 32, 2)
    x, y = left + column * pitch - width, bottom - row * pitch - side - width
    draw.rectangle((x, y, x + side + 2 * width - 1, y + side + 2 * width - 1), outline=ACCENT, width=width)
    across, up = (place * pitch + side / 2 for place in places)
    draw.line((left + across, bottom, left + across, bottom + 2 * width), ACCENT, width)
    draw.line((left - 2 * width, bottom - up, left, bottom - up), ACCENT, width)


def _draw_upwards(sheet: Image.Image, text: str, font: Font, gap: int, below: int) -> None:
    """Text at the left edge, so far below the middle."""
    width, height = (round(v) for v in font.getbbox(text)[2:])
    label = Image.new("RGB", (width, height + 2), BACKGROUND)
    ImageDraw.Draw(label).text((0, 0), text, INK, font)
    label = label.transpose(Image.Transpose.ROTATE_90)
    sheet.paste(label, (gap // 2, (sheet.height - label.height) // 2 + below))
