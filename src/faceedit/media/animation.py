"""Writing the frames of an animation as GIF, WebP, MP4 or a folder of PNG."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from faceedit.errors import UnreadableError, UsageError
from faceedit.files import write_atomically
from faceedit.media.image import Photo, encode_photo
from faceedit.media.provenance import embedded
from faceedit.media.video import write_video

SUFFIXES = (".gif", ".webp", ".mp4")
MOST_GIF_FPS = 50  # viewers slow faster ones down


def check_output(path: Path, fps: float) -> None:
    """Raise UsageError where `write_animation` cannot write such a file."""
    suffix = path.suffix.lower()
    if suffix and suffix not in SUFFIXES:
        raise UsageError(f"an animation is written as {', '.join(SUFFIXES)}, or into a folder, not as {suffix}")
    if suffix == ".gif" and fps > MOST_GIF_FPS:
        raise UsageError(f"GIF shows at most {MOST_GIF_FPS} frames a second, not {fps:g}: choose .webp or .mp4")


def write_animation(
    path: Path, frames: Iterable[np.ndarray], fps: float, loop: bool, like: Photo | None = None
) -> None:
    """Write frames (H, W, 3) uint8 as .gif, .webp or .mp4 by the name, or as PNG files in a folder; whole or not.

    loop: GIF and WebP repeat for ever. like: a photo whose XMP the files carry, and whose colour profile WebP and PNG
    do, which alone have a place for one. Raises UsageError, UnreadableError.
    """
    check_output(path, fps)
    like = like or Photo(np.zeros((1, 1, 3), np.uint8))
    suffix = path.suffix.lower()
    if suffix == ".mp4":
        write_video(path, frames, fps, like.xmp)
    elif suffix:
        _write_pictures(path, iter(frames), fps, loop, like)
    else:
        _write_folder(path, frames, like)


def _write_pictures(path: Path, frames: Iterator[np.ndarray], fps: float, loop: bool, like: Photo) -> None:
    first = Image.fromarray(next(frames))
    options = {"save_all": True, "append_images": map(Image.fromarray, frames), "duration": round(1000 / fps)}
    if path.suffix.lower() == ".webp":
        options |= {"quality": 85, "method": 3, "loop": 0 if loop else 1, "xmp": like.xmp or b""}
        options |= {"icc_profile": like.colour_profile or b""}
    elif loop:
        options["loop"] = 0
    buffer = io.BytesIO()
    try:
        first.save(buffer, path.suffix[1:].upper(), **options)
    except (OSError, ValueError) as error:
        raise UnreadableError(f"cannot write {path}: {error}") from error
    data = buffer.getvalue()
    write_atomically(path, embedded(data, like.xmp) if like.xmp and path.suffix.lower() == ".gif" else data)


def _write_folder(path: Path, frames: Iterable[np.ndarray], like: Photo) -> None:
    if path.exists():
        raise UsageError(f"{path} exists: choose another folder")
    try:
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise UnreadableError(f"cannot write into {path.parent}: {error.strerror}") from error
    try:
        for number, frame in enumerate(frames, 1):
            picture = Photo(frame, icc=like.colour_profile, xmp=like.xmp)
            (folder / f"{number:04d}.png").write_bytes(encode_photo(picture, "PNG"))
        os.chmod(folder, 0o755)
        os.replace(folder, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
