"""What is measured, and with what: photos made from the example, and crops that are drawn."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageChops, ImageDraw
from torch.nn import functional

from faceedit import batch
from faceedit.circumplex import Support, named_emotion
from faceedit.data.crops import load_crops
from faceedit.data.labels import TRAIN, Label, write_labels
from faceedit.data.prepare import prepare
from faceedit.editing.editor import FaceEditor
from faceedit.editing.photo import edit_photo
from faceedit.editing.target import Request
from faceedit.editing.video import edit_video
from faceedit.evaluation.speed import speed
from faceedit.faces.alignment import TEMPLATE
from faceedit.kinds import MODELS
from faceedit.media.image import Photo, read_photo, write_photo
from faceedit.media.video import write_video
from faceedit.models.editor import rendered
from faceedit.training.editor import WarpTrainer
from faceedit.training.loop import train
from faceedit.weights import build, save_weights

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
MEGAPIXELS = (0.3, 2, 12)
EMOTION = "sad"
TARGET = named_emotion(EMOTION)
IMPORTS = "import torch, cv2, PIL"
# A process of its own in between: the peak of a process is never below that of the one that started it.
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


class Bench:
    """The measurements, in groups. figures: takes them. folder: an empty one for photos."""

    def __init__(self, figures, device: str, quick: bool, folder: Path):
        self.figures, self.device, self.quick, self.folder = figures, device, quick, folder
        self.rounds, self.slow_rounds = (2, 2) if quick else (9, 5)
        self.measured: dict[str, dict] = {}
        self.ratios: list[dict] = []
        self.photos = {}
        with Image.open(EXAMPLE) as image:
            for size in MEGAPIXELS:
                side = round((size * 1e6) ** 0.5)
                self.photos[size] = folder / f"{size:g}.jpg"
                image.resize((side, side), Image.Resampling.LANCZOS).save(self.photos[size], quality=92)
        self.editor = FaceEditor.from_pretrained(device=device)

    def start(self) -> None:
        """Processes from their start to their end."""
        command = ["-m", "faceedit", "edit", self.photos[0.3], "--emotion", EMOTION, "--device", self.device]
        ways = {
            "start: faceedit --help": partial(_python, "-m", "faceedit", "--help"),
            "start: faceedit edit, 0.3 MP": partial(
                _python, *command, "-o", self.folder / "started.jpg", "--overwrite"
            ),
            "start: imports of torch, cv2 and PIL": partial(_python, "-c", IMPORTS),
        }
        _, whole, imports = self.figures.times(ways, self.slow_rounds)
        self.figures.compare("start to written file / imports of torch, cv2 and PIL, 0.3 MP", whole / imports, 1.3)

    def edits(self) -> None:
        """Edits with the models loaded, file to file, what they consist of, and a grid."""
        ways = {}
        for size, path in self.photos.items():
            image = read_photo(path).pixels
            encoded = self.editor.encode(image, self.editor.detect(image)[0])
            edit = next(self.editor.face_edits(encoded, np.array([TARGET.pair])))
            ways |= {
                f"detection, {size:g} MP": partial(self.editor.detect, image),
                f"composition, {size:g} MP": partial(self.editor.apply, image, encoded.matrix, edit, encoded),
                f"whole edit, {size:g} MP": partial(self._edit_file, path, self.folder / "edited.jpg"),
            }
        ways["grid of 49 cells, 2 MP"] = partial(self._grid_file, self.photos[2], self.folder / "grid.png")
        taken = dict(zip(ways, self.figures.times(ways, self.rounds), strict=True))
        self.figures.compare(
            "grid of 49 cells / whole edit, 2 MP", taken["grid of 49 cells, 2 MP"] / taken["whole edit, 2 MP"], 8
        )

    def networks(self) -> None:
        """One pass of the networks alone, beside the paper's, as `faceedit evaluate` times them."""
        targets = np.array([TARGET.pair] * self.rounds)
        taken = speed(self.editor, self.photos[0.3], self.editor.detector, targets)
        own, paper = taken["network_ms"], taken["paper_network_ms"]
        self.figures.keep("networks of an edit, all parts", own, "ms")
        self.figures.keep("network of the paper", paper, "ms")
        self.figures.compare("networks / the paper's", own / paper, 0.3)

    def batches(self) -> None:
        """200 photos, in parts: one after another, and as a batch, which works on one a core."""
        count = 4 if self.quick else 200 // self.slow_rounds
        _copies(self.photos[2], self.folder / "photos", count)
        photos = batch.find_photos([str(self.folder / "photos")])
        jobs = batch.plan(photos, "edited", output=self.folder / "outputs", overwrite=True)

        def one_by_one() -> None:
            for job in jobs:
                self._edit_file(job.photo, job.output)

        def together() -> None:
            for job, outcome in batch.run(jobs, lambda photo: (self._edited(photo), {})):
                if outcome:
                    raise RuntimeError(f"{job.photo} failed: {outcome}")

        ways = {f"{count} photos one by one, 2 MP": one_by_one, f"{count} photos as a batch, 2 MP": together}
        single, batched = self.figures.times(ways, self.slow_rounds)
        self.figures.keep(f"batch, 2 MP, {self.device}", count / batched, "photos/s")
        self.figures.compare("speed of a batch / of single edits, 2 MP", single / batched, 1.3, least=True)

    def films(self) -> None:
        """A face followed and edited through a film of 720 lines, from file to file."""
        count, source, output = 50 if self.quick else 250, self.folder / "film.mp4", self.folder / "edited.mp4"
        with Image.open(EXAMPLE) as image:
            wide = np.asarray(image.convert("RGB").resize((1400, 1400), Image.Resampling.LANCZOS))
        write_video(source, (wide[i % 60 : i % 60 + 720, i % 99 : i % 99 + 1280] for i in range(count)), 25)
        ways = {"film, 1280x720": partial(self._edit_film, source, output)}
        (seconds,) = self.figures.times(ways, 1 if self.quick else 3)
        self.figures.compare("frames a second of a film, 1280x720", count / seconds, 25, least=True)

    def fill_folder(self) -> None:
        """Photos of 2 megapixels, for versions to be compared by."""
        _copies(self.photos[2], self.folder / "folder", 4 if self.quick else 40)

    def preparing(self) -> None:
        """Photos to aligned crops, on all cores."""
        count = 8 if self.quick else 256
        source = self.folder / "labelled"
        _write_labels(source, _copies(self.photos[0.3], source, count))
        outputs = (self.folder / f"prepared-{i}" for i in range(self.slow_rounds + 1))
        workers = os.cpu_count() or 1
        ways = {f"prepare, {count} photos of 0.3 MP": lambda: prepare(source, next(outputs), workers=workers)}
        (seconds,) = self.figures.times(ways, self.slow_rounds)
        self.figures.keep("prepare, start of its processes included", count / seconds, "photos/s")

    def training(self) -> None:
        """The default editor's training as it is, and the same networks on tensors that wait on the device."""
        data, count, seconds = self.folder / "data", 64, 5 if self.quick else 15
        (data / TRAIN).mkdir(parents=True)
        for i in range(count):
            write_photo(data / TRAIN / f"{i}.jpg", Photo(_drawn_crop(i / count * 1.5 - 0.75, i)))
        _write_labels(data / TRAIN, [f"{i}.jpg" for i in range(count)])
        teacher = self.folder / "teacher.safetensors"
        save_weights(teacher, build(MODELS["teacher"].network), Support.from_affect(np.zeros((1, 2))), {})
        network, settings = MODELS["editor"].network, MODELS["editor"].training
        settings = replace(settings, teacher=str(teacher), minutes=seconds / 60)
        step = _bare_step(WarpTrainer(settings, network, load_crops(data / TRAIN, network.image_size), self.device))
        step()
        trained, bare = [], []
        for turn in range(self.slow_rounds):
            reports = []
            train(data, self.folder / f"run-{turn}", settings, network, self.device, report=reports.append)
            trained += [report.images_per_second for report in reports[1:] or reports]  # the first one warms up
            steps, start = 0, self._clock()
            while self._clock() - start < seconds:
                step()
                steps += 1
            bare.append(steps * settings.batch / (self._clock() - start))
        self.figures.keep("training", float(np.median(trained)), "images/s")
        self.figures.keep("the same networks, tensors on the device", float(np.median(bare)), "images/s")
        self.figures.compare("speed of training / of the networks alone", float(np.median(trained) / np.median(bare)))

    def memory(self) -> None:
        """Peak memory of a process that edits a large photo."""
        command = ["-m", "faceedit", "edit", self.photos[12], "--emotion", EMOTION, "-o", self.folder / "peak.jpg"]
        gigabytes = int(_python("-c", PEAK, sys.executable, *command, "--device", self.device)) / 1e9
        self.figures.keep("peak memory of an edit, 12 MP", gigabytes, "GB")
        self.figures.compare("peak memory of an edit in GB, 12 MP", gigabytes, 1.2)

    def _clock(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def _grid_file(self, source: Path, output: Path) -> None:
        write_photo(output, self.editor.grid(source).photo)

    def _edit_film(self, source: Path, output: Path) -> None:
        edit_video(self.editor, source, output, Request(emotion=EMOTION), "largest", True, True)

    def _edited(self, photo: Photo) -> Photo:
        return edit_photo(self.editor, photo, [("largest", Request(emotion=EMOTION))]).photo

    def _edit_file(self, source: Path, output: Path) -> None:
        write_photo(output, self._edited(read_photo(source)))


def _python(*arguments) -> str:
    """What a Python process prints."""
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=True).stdout


def _copies(photo: Path, folder: Path, count: int) -> list[str]:
    """The names of as many copies of a photo, each shifted by some pixels."""
    folder.mkdir()
    with Image.open(photo) as image:
        for i in range(count):
            ImageChops.offset(image, i % 50, i // 50).save(folder / f"{i}.jpg", quality=92)
    return [f"{i}.jpg" for i in range(count)]


def _write_labels(folder: Path, names: list[str]) -> None:
    """Labels spread over the plane."""
    angles = np.linspace(0, 2 * np.pi, len(names))
    points = zip(names, 0.6 * np.cos(angles), 0.6 * np.sin(angles), strict=True)
    write_labels(folder, [Label(name, float(valence), float(arousal)) for name, valence, arousal in points])


def _drawn_crop(valence: float, tint: int) -> np.ndarray:
    """A cartoon face (128, 128, 3) with its features at the template's places; the mouth bends with valence."""
    side = 128
    image = Image.new("RGB", (side, side), (90 + tint, 120, 150 - tint))
    draw = ImageDraw.Draw(image)
    draw.ellipse((12, 6, 116, 126), fill=(225, 180, 150))
    for x, y in TEMPLATE[:2] * side:
        draw.circle((x, y), 6, fill=(40, 30, 20))
    (left, y), (right, _) = TEMPLATE[3:] * side
    draw.line([(left, y), (side / 2, y + 0.12 * side * valence), (right, y)], fill=(150, 40, 50), width=4)
    return np.asarray(image)


def _bare_step(trainer: WarpTrainer) -> Callable[[], None]:
    """A step of the same networks, optimisers and average on one batch, with no sampling, augmentation or reports."""
    editor, image_discriminator, latent_discriminator = (
        trainer.published,
        trainer.image_discriminator,
        trainer.latent_discriminator,
    )
    batch_of = torch.arange(trainer.training.batch) % len(trainer.crops)
    images, source = trainer.crops.batch(batch_of, trainer.device)
    landmarks = trainer.landmarks[batch_of.to(trainer.device)]
    images, target = images.contiguous(memory_format=torch.channels_last), source.roll(1, 0)
    asked, own = (functional.pad(affect, (0, trainer.network.target_dim - 2)) for affect in (target, source))
    prior = torch.rand(len(images), trainer.network.z_dim, device=trainer.device) * 2 - 1

    def wrong(logits: torch.Tensor, sign: int) -> torch.Tensor:
        return functional.relu(1 - sign * logits).mean().float()

    def step() -> None:
        with trainer.autocast():
            features = editor.encoder(images, landmarks)
            edit = editor.decoder(features, source, target, finished=False)
            edited = rendered(images, edit, trainer.masks)
            maps = trainer.teacher.maps(edited)
            shown = trainer.teacher.read(maps[-1])[0].float()
            loss = functional.smooth_l1_loss(shown, target) + edit.flow.square().mean()
            loss = loss + wrong(image_discriminator(maps, asked), 1)
            loss = loss + wrong(latent_discriminator(torch.cat([prior, features.z]))[len(prior) :], 1)
            way_back = editor(edited.detach(), landmarks, target, source, finished=False)
            back = rendered(edited.detach(), way_back, trainer.masks)
            loss = loss + (back - images).abs().mean()
        trainer.update("editor", loss)
        with trainer.autocast():
            with torch.no_grad():
                real_maps = trainer.teacher.maps(images)
            real, mismatch = image_discriminator(real_maps, own, asked)
            drawn = image_discriminator([x.detach() for x in maps], asked)
            image_loss = wrong(real, 1) + wrong(mismatch, -1) + wrong(drawn, -1)
            of_prior, of_faces = latent_discriminator(torch.cat([prior, features.z.detach()])).chunk(2)
            latent_loss = wrong(of_prior, 1) + wrong(of_faces, -1)
        trainer.update("image_discriminator", image_loss)
        trainer.update("latent_discriminator", latent_loss)
        trainer.update_ema()

    return step
