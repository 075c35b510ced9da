"""Reading and writing photos: the only place where image files become arrays and arrays become image files.

Arrays are HWC uint8 RGB, upright.
"""

import io
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from faceedit.errors import UnreadableError, missing, sentence
from faceedit.files import write_atomically
from faceedit.media import jpeg, png, tiff
from faceedit.media.decoding import decoded
from faceedit.media.encoding import encode_photo
from faceedit.media.formats import (
    MAX_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    READ_FORMATS,
    UNREAD,
    WRITE_FORMATS,
    format_of,
    refuse_others,
)
from faceedit.media.photo import Photo

__all__ = ["READ_FORMATS", "WRITE_FORMATS", "Photo", "encode_photo", "format_of", "read_photo", "write_photo"]

MEGAPIXELS = f"more than the {MAX_PIXELS // 1_000_000} megapixels that are read"


def read_photo(source: str | Path | bytes) -> Photo:
    """The photo in a file or its bytes: JPEG, PNG, WebP, TIFF, BMP, AVIF or HEIC; of an animation, the first frame.

    Samples of 16 bits become 8 bits in `pixels`, and stay as they are in `deep`. Raises UnreadableError.
    """
    name = "the input" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else _bytes_of(Path(source))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large or sloppy files; what matters raises below
            refuse_others(data)
            if (again := tiff.rebuilt(data)) is not None:
                photo = _opened(again.data, name)
                samples = photo.deep
                if again.is_grey and samples is not None:
                    photo = replace(photo, grey=True, deep=np.ascontiguousarray(samples[..., [0, 3]]))
                return photo
            try:
                return _opened(data, name)
            except (MemoryError, UnreadableError, Image.DecompressionBombError):
                raise
            except Exception as error:  # the decoders raise whatever they meet
                whole, gone = _mended(data, error)
                if whole == data:
                    raise
                photo = _opened(whole, name)
                return replace(photo, lost=(*gone, *photo.lost))
    except MemoryError:
        raise
    except UnreadableError as error:
        raise UnreadableError(f"cannot read {name}: {error}") from error
    except FileNotFoundError as error:
        raise missing(name) from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, beyond ours
        raise UnreadableError(f"cannot read {name}: it has {MEGAPIXELS}") from error
    except Exception as error:  # the decoders raise whatever they meet; to the user it is one thing
        reason = sentence(error)
        if "cannot identify" in reason:
            reason = UNREAD.get(data[:4], "it is not a photo in a format that is read")
        raise UnreadableError(f"cannot read {name}: {reason}") from error


def write_photo(path: str | Path, photo: Photo, overwrite: bool = True) -> None:
    """Write a photo, whole or not at all, in the format that the name of `path` says.

    Raises UsageError for an unknown ending, ExistsError for a file that is there and not to be overwritten,
    UnwritableError for pixels that the format does not hold, and where the file cannot be written.
    """
    write_atomically(path, encode_photo(photo, format_of(path)), overwrite=overwrite)


def _mended(data: bytes, error: Exception) -> tuple[bytes, list[str]]:
    """A file that raised this error without what a photo does not need, and the names of that; or as it is."""
    if data.startswith(png.START):
        return png.without_unreadable(data)
    if not data.startswith(jpeg.START):
        return data, []
    if "truncated" in str(error):  # the end marker alone may be missing
        return jpeg.with_end(data) or data, []
    return jpeg.without_unreadable(data)


def _bytes_of(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise UnreadableError("it is no file")  # a pipe would make us wait for ever
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"it has more than {MAX_BYTES >> 30} GB")
    return data


def _opened(data: bytes, name: str) -> Photo:
    with Image.open(io.BytesIO(data), formats=READ_FORMATS) as file:
        if file.width * file.height > MAX_PIXELS:
            raise UnreadableError(f"it has {file.width * file.height // 1_000_000} megapixels, {MEGAPIXELS}")
        if max(file.size) > MAX_SIDE:
            raise UnreadableError(f"it has a side of {max(file.size)} pixels, more than {MAX_SIDE}")
        return decoded(file, data, name)
