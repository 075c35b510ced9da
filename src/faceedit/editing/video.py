"""Editing one face through a video, whose frames are (H, W, 3) uint8 RGB.

A video is read twice: first to find the face in all frames, then to edit it. So smoothing in time can look ahead.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceedit.circumplex import Affect
from faceedit.editing.backends import FaceEdit
from faceedit.editing.selection import ALL, is_largest
from faceedit.editing.target import Request
from faceedit.editing.tracking import Track, follow
from faceedit.errors import ExistsError, UsageError
from faceedit.faces.alignment import alignment
from faceedit.media.provenance import COMPOSITE, declaration
from faceedit.pool import in_turn

if TYPE_CHECKING:  # which itself edits by what is here
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.photo import EncodedFace

EDIT_MEMORY = 0.5  # how much of an edit is the last frame's
# Frames in a row that one thread begins, as many as have so many pixels: the folds of the first do for all while the
# face is still.
FEW, FEW_PIXELS = 5, 12_000_000
logger = logging.getLogger(__name__)
# Gives frames on, given how many there are and what is done with them, to show how far that is.
Progress = Callable[[Iterable[np.ndarray], int, str], Iterable[np.ndarray]]


@dataclass(frozen=True)
class EditedVideo:
    """A video that was written, and what was done with the face in it.

    frames: how many there are. edited_frames: in how many of them the face is. source: the affect that it showed in
    these on average. target: where a face of that affect goes.
    """

    path: Path
    frames: int
    edited_frames: int
    source: Affect
    target: Affect

    def __str__(self) -> str:
        return f"{self.source} on average → {self.target}"


def _no_progress(frames: Iterable[np.ndarray], count: int, doing: str) -> Iterable[np.ndarray]:
    return frames


def edit_video(
    editor: "FaceEditor",
    video: str | Path,
    output: str | Path,
    request: Request,
    face: str | int,
    source_metadata: bool,
    overwrite: bool,
    progress: Progress = _no_progress,
) -> EditedVideo:
    """Write a video in which one face goes where the request says: see `FaceEditor.edit_video`.

    A video that is transparent in parts, which MP4 cannot hold, is logged as a warning.
    """
    from faceedit.media.video import check_output, open_video, rewrite_video  # with codecs, which photos need not

    path, output = Path(video), Path(output)
    check_output(output)
    if face == ALL:
        raise UsageError("in a video one face is edited, not all: choose the largest, or a number")
    is_largest(face)
    if output.exists() and not overwrite:
        raise ExistsError(output)
    source = open_video(path)
    if source.alpha and output.suffix.lower() != ".mov":
        logger.warning("%s: it is transparent in parts, which MP4 cannot hold: a .mov file can", path)
    track = follow(editor, progress(source, source.frames, "finding the face"), source.fps, str(face))
    count, mean = len(track.strength), track.mean_source
    result = EditedVideo(output, count, int((track.strength > 0).sum()), mean, request.target(mean))

    def edit(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        return edited_frames(editor, progress(frames, count, "editing"), track, request)

    xmp = declaration(COMPOSITE, editor.weights, f"one face: {result}")
    rewrite_video(source, output, edit, xmp, source_metadata, overwrite)
    return result


def edited_frames(
    editor: "FaceEditor", frames: Iterable[np.ndarray], track: Track, request: Request
) -> Iterator[np.ndarray]:
    """Each frame with the face of the track edited as the request says; frames beyond the track stay as they are."""
    last: tuple[FaceEdit, EncodedFace] | None = None
    mouth = None  # a person has one

    def is_cut(index: int) -> bool:
        return index < len(track.cut) and bool(track.cut[index])

    def begin(some: list[tuple[int, np.ndarray]]) -> "list[tuple[EncodedFace, FaceEdit] | None]":
        """What needs no frame but the few before it, and is done with several few at a time."""
        begun: list[tuple[EncodedFace, FaceEdit] | None] = []
        first: EncodedFace | None = None
        for index, frame in some:
            first = None if is_cut(index) else first
            if index >= len(track.strength) or track.strength[index] == 0:
                begun.append(None)
                first = None
                continue
            matrix = alignment(track.landmarks[index], editor.backend.size)
            source = Affect(*track.source[index].tolist())
            encoded = replace(editor.encode_aligned(frame, matrix, source, first), parts=request.only)
            first = first or encoded
            begun.append((encoded, next(editor.face_edits(encoded, request.target(source).row[None]))))
        return begun

    for index, frame, found in (
        (*item, face)
        for some, done in in_turn(begin, _in_parts(frames))
        for item, face in zip(some, done.result(), strict=True)
    ):
        if is_cut(index):
            last = None
        if found is None:
            last = None
            yield frame
            continue
        encoded, edit = found
        if edit.mouth is not None:
            mouth = mouth or edit.mouth
            edit = edit._replace(mouth=edit.mouth.of_same(mouth))
        if last is not None:
            before, other = last
            edit = edit.towards(before, EDIT_MEMORY)
            eyes = tuple(now.towards(then, EDIT_MEMORY) for now, then in zip(encoded.eyes, other.eyes, strict=True))
            encoded = replace(encoded, eyes=eyes, softness=other.softness)
        last = edit, encoded
        yield editor.apply(frame, encoded.matrix, edit.faded(float(track.strength[index])), encoded)


def _in_parts(frames: Iterable[np.ndarray]) -> Iterator[list[tuple[int, np.ndarray]]]:
    """The frames with their numbers, a few at a time, and fewer of large ones, which bounds memory."""
    numbered = enumerate(frames)
    for first in numbered:
        few = FEW_PIXELS // (first[1].size // 3)
        yield [first, *islice(numbered, max(min(few, FEW), 1) - 1)]
