"""What a run reports: progress while it trains, and figures and sheets in its folder."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faceedit.data.crops import Crops
from faceedit.files import write_atomically
from faceedit.media.image import Photo, encode_photo
from faceedit.training.trainer import AnyTrainer

if TYPE_CHECKING:  # it need not be installed
    from torch.utils.tensorboard import SummaryWriter

SHEETS_FOLDER = "sheets"


@dataclass(frozen=True)
class Report:
    """Where a run stands. losses: means since the last report. seconds: trained so far, resumed runs included."""

    step: int
    steps: int | None
    epoch: int
    seconds: float
    seconds_left: float
    images_per_second: float
    losses: dict[str, float]


def validate(trainer: AnyTrainer, run: Path, validation: Crops | None, writer: "SummaryWriter | None") -> None:
    """Keep figures and sheets of the averaged network on the validation crops, where there are any."""
    if validation is None:
        return
    figures, sheets = trainer.validate(validation)
    add_scalars(writer, "validation", figures, trainer.step)
    for name, sheet in sheets.items():
        folder = run / SHEETS_FOLDER
        folder.mkdir(exist_ok=True)
        write_atomically(folder / f"{name}-{trainer.step:07d}.png", encode_photo(Photo(sheet), "PNG"))
        if writer is not None:
            writer.add_image(f"validation/{name}", sheet, trainer.step, dataformats="HWC")


def add_scalars(writer: "SummaryWriter | None", group: str, values: dict[str, float], step: int) -> None:
    """Keep values by name, below the group's, at a step."""
    if writer is not None:
        for name, value in values.items():
            writer.add_scalar(f"{group}/{name}", value, step)


def tensorboard(run: Path) -> contextlib.AbstractContextManager["SummaryWriter | None"]:
    """A writer of TensorBoard files, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return contextlib.nullcontext()
    return SummaryWriter(run)
