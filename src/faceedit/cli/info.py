"""The command that reads back what edited files say, and names versions, devices and weights."""

import ctypes
import platform
import sys
from pathlib import Path
from typing import Annotated

import typer

from faceedit import __version__
from faceedit.cli.app import STANDARD, command, printable
from faceedit.cli.photos import read_bytes
from faceedit.errors import missing


@command(
    "Photos",
    "faceedit info",
    "faceedit info photo-edited.jpg",
)
def info(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A picture that faceedit wrote, or - for standard input.")
    ] = None,
) -> None:
    """Read back what an edited file says of itself; without a file, tell versions, devices and weights."""
    if file is not None:
        from faceedit.media.image import read_photo
        from faceedit.media.provenance import from_xmp, read_embedded

        source = read_bytes() if str(file) == STANDARD else file
        if source is file and not file.is_file():  # a pipe would make us wait for ever
            raise missing(file)
        found = from_xmp(read_embedded(source) or read_photo(source).xmp)
        if found is None:
            print(f"{printable(str(file))} does not say that faceedit made or edited it")
            return
        for name, value in vars(found).items():
            print(f"{name.replace('_', ' ')}: {printable(value)}")
        return
    from importlib.metadata import version

    from faceedit.hub import published

    print(f"faceedit {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(", ".join(f"{name} {version(name)}" for name in ("torch", "facenet-pytorch", "opencv-python", "pillow")))
    print(f"devices: {', '.join(_devices(version('torch')))}")
    for path, digest in published():
        print(f"weights {path.stem}: {path}, SHA-256 {digest}")


def _devices(build: str) -> list[str]:
    """The devices that a build of torch can use here, the fastest first. torch itself would take seconds to import."""
    if sys.platform == "darwin":
        return ["mps", "cpu"] if platform.machine() == "arm64" else ["cpu"]
    try:
        driver, count = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"), ctypes.c_int()
        driver.cuInit(0)
        driver.cuDeviceGetCount(ctypes.byref(count))
    except OSError:
        return ["cpu"]
    return ["cuda", "cpu"] if count.value > 0 and "+cpu" not in build else ["cpu"]
