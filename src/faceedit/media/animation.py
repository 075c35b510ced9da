"""Writing the frames of an animation as GIF, WebP, MP4 or a folder of PNG."""

import errno
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from faceedit.errors import ExistsError, UnwritableError, UsageError
from faceedit.files import UMASK, temporary_folder, write_atomically
from faceedit.media.colour import to_srgb
from faceedit.media.image import Photo, encode_photo
from faceedit.media.provenance import embedded

SUFFIXES = (".gif", ".webp", ".mp4")
MAX_GIF_FPS = 50  # viewers slow faster ones down


def check_output(path: Path, fps: float) -> None:
    """Raise UsageError where `write_animation` cannot write such a file."""
    suffix = path.suffix.lower()
    if suffix and suffix not in SUFFIXES:
        raise UsageError(f"an animation is written as {', '.join(SUFFIXES)}, or into a folder, not as {suffix}")
    if suffix == ".gif" and fps > MAX_GIF_FPS:
        raise UsageError(f"GIF shows at most {MAX_GIF_FPS} frames a second, not {fps:g}: choose .webp or .mp4")


def write_animation(
    path: Path,
    frames: Iterable[np.ndarray],
    fps: float,
    loop: bool,
    like: Photo | None = None,
    overwrite: bool = True,
) -> None:
    """Write frames (H, W, 3) uint8 as .gif, .webp or .mp4 by the name, or as PNG files in a folder; whole or not.

    loop: GIF and WebP repeat for ever. like: a photo whose XMP the files carry, and whose colour profile WebP and PNG
    do; the frames of others are converted to sRGB. overwrite: replace a file; a folder never is. Raises UsageError,
    ExistsError, UnwritableError.
    """
    check_output(path, fps)
    like = like or Photo(np.zeros((1, 1, 3), np.uint8))
    suffix = path.suffix.lower()
    if suffix in (".mp4", ".gif") and like.colour_profile:
        frames = (to_srgb(frame, like.colour_profile) for frame in frames)
    if suffix == ".mp4":
        from faceedit.media.video import write_video  # with codecs, which photos need not

        write_video(path, frames, fps, like.xmp, overwrite=overwrite)
    elif suffix:
        write_atomically(path, _encoded(path, iter(frames), fps, loop, like), overwrite=overwrite)
    else:
        _write_folder(path, frames, like)


def _encoded(path: Path, frames: Iterator[np.ndarray], fps: float, loop: bool, like: Photo) -> bytes:
    """The bytes of a GIF or WebP."""
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
        raise UnwritableError(f"cannot write {path}: {error}") from error
    data = buffer.getvalue()
    return embedded(data, like.xmp) if like.xmp and path.suffix.lower() == ".gif" else data


def _write_folder(path: Path, frames: Iterable[np.ndarray], like: Photo) -> None:
    if path.exists():
        raise ExistsError(path)
    try:
        with temporary_folder(path.name, path.parent) as folder:
            for number, frame in enumerate(frames, 1):
                picture = Photo(frame, icc=like.colour_profile, xmp=like.xmp)
                (folder / f"{number:04d}.png").write_bytes(encode_photo(picture, "PNG"))
            os.chmod(folder, 0o777 & ~UMASK)
            os.rename(folder, path)
    except FileExistsError as error:  # by now
        raise ExistsError(path) from error
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise ExistsError(path) from error
        raise UnwritableError(f"cannot write {path}: {error.strerror}") from error
