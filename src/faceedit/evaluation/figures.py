"""The figures of an evaluation: what was measured of many faces, together and by groups, with intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

import numpy as np

from faceedit.circumplex import CLASS_MEANS
from faceedit.data.labels import Label
from faceedit.evaluation.metrics import Interval, agreement, bootstrap

AXES = ("valence", "arousal")
BASIC = ("happy", "sad", "surprised", "afraid", "disgusted", "angry")  # Ekman 1992
IDENTITY_EXTENT = 0.5  # identity is judged where an edit need not change a face beyond recognition
GROUP_VALUES, GROUP_FACES = 12, 10  # of a column to be a grouping at most, and of a group to be judged at least


class Group(TypedDict):
    """A column of the labels: the figures of each of its values, and which value is worst by each measure."""

    rows: dict[str, dict[str, float]]
    worst: dict[str, str]


class Figures(TypedDict, total=False):
    """What was measured of all faces together; intervals are [value, low, high].

    affect: by which cells, axis and measure. emotions: by name, which share of faces that were asked for it the judge
    calls what. recognised: the share that it calls what was asked, the mean over BASIC emotions. identity: with an
    embedder. groups: by column of the labels. speed: see `speed.speed`."""

    faces: int
    cells: int
    supported_cells: int
    affect: dict[str, dict[str, dict[str, Interval]]]
    emotions: dict[str, dict[str, float]]
    recognised: Interval
    within_one_face: dict[str, dict[str, Interval]]
    change_of_255: Interval
    psnr_at_source: Interval
    ssim_at_source: Interval
    psnr_of_best_cell: Interval
    change_outside: int
    sharpness: dict[str, Interval]
    smoothness: Interval
    identity: dict[str, Interval]
    groups: dict[str, Group]
    speed: dict[str, float]


@dataclass
class Subject:
    """A face of the evaluation and what was measured of its edits to C targets.

    estimates: (C, 2). looks: (E,) the index in CLASS_MEANS of what the judge calls the edit to each emotion of these.
    identity: (C,) cosines, or None without an embedder. change: (C,) mean absolute change of the
    crop, of 255. sharpness: (C,) ratios to the input's. outside: largest change of a pixel outside the crop and the
    rows below it. psnr, ssim: at target = source. smoothness: largest over median step between neighbours. cells:
    (C, S, S, 3).
    """

    label: Label
    estimates: np.ndarray
    looks: np.ndarray
    identity: np.ndarray | None
    change: np.ndarray
    sharpness: np.ndarray
    outside: int
    psnr: float
    ssim: float
    best_psnr: float
    smoothness: float
    cells: np.ndarray


def summarise(subjects: list[Subject], targets: np.ndarray, supported: np.ndarray) -> Figures:
    """The figures of all subjects together. targets: (C, 2). supported: (C,) bool."""
    estimates = np.stack([subject.estimates for subject in subjects])  # (F, C, 2)
    every = np.arange(len(subjects))
    sharp = _stack(subjects, "sharpness")[:, supported]
    near = supported & (np.abs(targets) <= IDENTITY_EXTENT + 1e-6).all(1)
    figures: Figures = {
        "faces": len(subjects),
        "cells": len(targets),
        "supported_cells": int(supported.sum()),
        "affect": {
            "all": _by_axis(_agreement, estimates, targets, np.ones_like(supported)),
            "supported": _by_axis(_agreement, estimates, targets, supported),
        },
        "emotions": _confusion(_stack(subjects, "looks")),
        "recognised": bootstrap(lambda i: _recognised(_stack(subjects, "looks")[i]), every),
        "within_one_face": _by_axis(_within, estimates, targets, supported),
        "change_of_255": bootstrap(lambda i: _stack(subjects, "change")[i][:, near].mean(), every),
        "psnr_at_source": bootstrap(lambda i: np.median(_stack(subjects, "psnr")[i]), every),
        "ssim_at_source": bootstrap(lambda i: np.median(_stack(subjects, "ssim")[i]), every),
        "psnr_of_best_cell": bootstrap(lambda i: _stack(subjects, "best_psnr")[i].mean(), every),
        "change_outside": int(_stack(subjects, "outside").max()),
        "sharpness": {
            name: bootstrap(partial(_quantile, sharp, q), every)
            for name, q in (("median", 0.5), ("percentile_10", 0.1), ("percentile_90", 0.9))
        },
        "smoothness": bootstrap(lambda i: np.median(_stack(subjects, "smoothness")[i]), every),
    }
    if subjects[0].identity is not None:
        identity = _stack(subjects, "identity")[:, near].mean(1)
        figures["identity"] = {
            "mean": bootstrap(lambda i: identity[i].mean(), every),
            "worst_tenth": bootstrap(lambda i: np.sort(identity[i])[: max(len(i) // 10, 1)].mean(), every),
        }
    figures["groups"] = _groups(subjects, estimates, targets, supported, near)
    return figures


def _confusion(looks: np.ndarray) -> dict[str, dict[str, float]]:
    """By emotion asked, the share of faces with each look that any has. looks: (F, E)."""
    names = list(CLASS_MEANS)
    shares = {name: np.bincount(looks[:, i], minlength=len(names)) / len(looks) for i, name in enumerate(names)}
    return {
        name: {other: float(share) for other, share in zip(names, row, strict=True) if share > 0}
        for name, row in shares.items()
    }


def _recognised(looks: np.ndarray) -> float:
    """The share of looks (F, E) that are what was asked, the mean over BASIC emotions."""
    asked = [i for i, name in enumerate(CLASS_MEANS) if name in BASIC]
    return float((looks[:, asked] == asked).mean())


def _by_axis(
    measure: Callable[[np.ndarray, np.ndarray], dict[str, Interval]],
    estimates: np.ndarray,
    targets: np.ndarray,
    cells: np.ndarray,
) -> dict[str, dict[str, Interval]]:
    """A measure of the judge's estimates (F, C, 2) and the targets (C, 2) over some cells, for each axis."""
    return {name: measure(estimates[:, cells, axis], targets[cells, axis]) for axis, name in enumerate(AXES)}


def _agreement(got: np.ndarray, wanted: np.ndarray) -> dict[str, Interval]:
    """CCC, correlation and slope of the estimates (F, C) against the targets (C,), all faces together."""

    def measured(key: str, faces: np.ndarray) -> float:
        return agreement(np.broadcast_to(wanted, (len(faces), len(wanted))).ravel(), got[faces].ravel())[key]

    return {key: bootstrap(partial(measured, key), np.arange(len(got))) for key in ("ccc", "correlation", "slope")}


def _within(got: np.ndarray, wanted: np.ndarray) -> dict[str, Interval]:
    """Of each face's own edits: the mean slope of the estimates, and their mean standard deviation."""
    slopes = np.array([agreement(wanted, row)["slope"] for row in got])
    every = np.arange(len(got))
    return {
        "slope": bootstrap(lambda i: slopes[i].mean(), every),
        "spread": bootstrap(lambda i: got[i].std(axis=1).mean(), every),
    }


def _quantile(values: np.ndarray, q: float, faces: np.ndarray) -> float:
    return float(np.quantile(values[faces], q))


def _groups(
    subjects: list[Subject], estimates: np.ndarray, targets: np.ndarray, supported: np.ndarray, near: np.ndarray
) -> dict[str, Group]:
    """Affect and identity by each grouping column, and the worst group of each."""
    columns = {name for subject in subjects for name in subject.label.extra if not name.startswith("p_")}
    found: dict[str, Group] = {}
    for column in sorted(columns):
        values = np.array([subject.label.extra.get(column, "") for subject in subjects])
        names = [name for name in np.unique(values) if (values == name).sum() >= GROUP_FACES]
        if not len(names) >= 2 or len(np.unique(values)) > GROUP_VALUES:
            continue
        rows = {}
        for name in names:
            members = values == name
            row: dict[str, float] = {"faces": int(members.sum())}
            for axis, axis_name in enumerate(AXES):
                wanted = np.broadcast_to(targets[supported, axis], (members.sum(), supported.sum()))
                got = estimates[members][:, supported, axis]
                row[f"{axis_name}_ccc"] = agreement(wanted.ravel(), got.ravel())["ccc"]
            if subjects[0].identity is not None:
                row["identity"] = float(_stack(subjects, "identity")[members][:, near].mean())
            rows[str(name)] = row
        measures = [key for key in next(iter(rows.values())) if key != "faces"]
        worst = {key: min((row[key], name) for name, row in rows.items())[1] for key in measures}
        found[column] = {"rows": rows, "worst": worst}
    return found


def _stack(subjects: list[Subject], name: str) -> np.ndarray:
    return np.stack([getattr(subject, name) for subject in subjects])
