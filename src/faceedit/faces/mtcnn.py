"""MTCNN's cascade (Zhang, Zhang, Li and Qiao 2016): the first network proposes windows, two more judge them.

Boxes are (N, 4) xyxy pixels, as the networks learnt them: 0 is the edge of the frame, and the last pixel is inside.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from faceedit.errors import WeightsError
from faceedit.models.mtcnn import OutputNetwork, ProposalNetwork, RefineNetwork

PACKAGE = "facenet_pytorch"  # whose wheel brings the weights

FACTOR = 0.709  # between two sizes of windows, facenet-pytorch's: about half the area
PROPOSED, REFINED, ACCEPTED = 0.6, 0.7, 0.7  # minimum probability after each network, facenet-pytorch's
SAME_SIZE_OVERLAP, OVERLAP = 0.5, 0.7  # intersection over union, above which the less probable window is dropped
MAX_WINDOWS = 512  # at a time: what bounds memory
# A face's side, as a multiple of that of windows. Of 338 faces in 120 composed crowds each was proposed by windows that
# it was at most 1.44 times as large as, and none moved by windows that it was more than 2.31 times as large as.
PROPOSING, MOVING = 1.6, 2.5
RIVAL = 0.7  # of the largest face's side: others that may turn out to be larger yet
AROUND = 0.5  # of a face's side, how far from it windows lie that have a say in it


@dataclass(frozen=True)
class Detections:
    """Faces, the most probable first.

    boxes: (N, 4). probabilities: (N,) in [0, 1]. landmarks: (N, 5, 2) xy.
    """

    boxes: np.ndarray
    probabilities: np.ndarray
    landmarks: np.ndarray

    @staticmethod
    def none() -> "Detections":
        return Detections(np.empty((0, 4)), np.empty(0), np.empty((0, 5, 2)))

    def each(self) -> list["Detections"]:
        """The faces one by one."""
        return [self.where(np.array([index])) for index in range(len(self.boxes))]

    def moved(self, by: np.ndarray) -> "Detections":
        """The faces, moved by (2,) pixels."""
        return Detections(self.boxes + np.tile(by, 2), self.probabilities, self.landmarks + by)

    def where(self, kept: np.ndarray) -> "Detections":
        """Those that an index or a mask names."""
        return Detections(self.boxes[kept], self.probabilities[kept], self.landmarks[kept])

    @property
    def sides(self) -> np.ndarray:
        """The geometric means of the boxes' sides, (N,)."""
        return np.sqrt((self.boxes[:, 2:] - self.boxes[:, :2]).clip(0).prod(1))


class Cascade:
    """Finds faces in images (H, W, 3) uint8 RGB of up to about 2000 pixels a side."""

    def __init__(self, device: str):
        self._device = device
        self._propose, self._refine, self._output = load_mtcnn(device)

    def search(
        self, image: np.ndarray, min_side: float, min_probability: float, largest: bool = False, max_side: float = 1e9
    ) -> Detections:
        """The faces in windows of min_side to below max_side pixels.

        largest: the largest face, and perhaps others, without a search for the smallest.
        """
        view = _View(image)
        sizes = _window_sizes(min_side, min(max_side, view.height + 1, view.width + 1))
        if largest:
            return self._search_largest(view, sizes, min_probability)
        return self._faces(view, [self._proposals(view, size) for size in sizes], min_probability)

    def _search_largest(self, view: "_View", sizes: list[float], min_probability: float) -> Detections:
        """The largest face, with others around it.

        Windows come from the largest to the smallest. Once a face was found that is so large that a larger one would
        have been proposed, those that are left are looked at around it only, as long as they have a say in it.
        """
        proposals: list[np.ndarray] = []
        part, side = np.array([0, 0, view.width, view.height]), 0.0
        for index, size in enumerate(sizes):
            if index > 2 and not side:
                enough = PROPOSING * sizes[index - 1]
                found = self._faces(view, proposals[:-2], min_probability, enough)  # the last are of smaller ones
                if found.sides.max(initial=0) >= enough:
                    side = found.sides.max()
                    rivals = found.boxes[found.sides > RIVAL * side]
                    reach = AROUND * side
                    part = np.concatenate([rivals[:, :2].min(0) - reach, rivals[:, 2:].max(0) + reach])
            if side >= MOVING * size:
                break
            proposals.append(self._proposals(view, size, part))
        inside = [near[((near[:, 2:4] > part[:2]) & (near[:, :2] < part[2:])).all(1)] for near in proposals]
        return self._faces(view, inside, min_probability)

    def probability(self, image: np.ndarray, box: np.ndarray) -> float:
        """How sure the last network is that a box (4,) of an image holds a face, in [0, 1]."""
        square = _squared(box[None])
        low, high = np.floor(square[0, :2]).clip(0).astype(int), np.ceil(square[0, 2:]).clip(0).astype(int)
        part = image[low[1] : high[1] + 1, low[0] : high[0] + 1]
        if min(part.shape[:2]) < 2:
            return 0.0
        _, says = self._judge(self._output, _View(np.ascontiguousarray(part)), square - np.tile(low, 2), -1.0)
        return float(says[0, 0]) if len(says) else 0.0

    def _proposals(self, view: "_View", size: float, part: np.ndarray | None = None) -> np.ndarray:
        """Windows of a size that may hold a face: boxes, probabilities and offsets, (N, 9). part: (4,), to look at."""
        scale, stride = ProposalNetwork.WINDOW / size, ProposalNetwork.STRIDE
        shape = int(view.height * scale + 1), int(view.width * scale + 1)
        low, high = np.zeros(2, int), np.array(shape[::-1])
        if part is not None:
            low = (part[:2] * scale).clip(0).astype(int) // stride * stride
            high = np.minimum(high, np.ceil(part[2:] * scale).astype(int) + ProposalNetwork.WINDOW)
        level = view.pooled(np.array([[0, 0, view.width, view.height]]), shape, (*low.tolist(), *high.tolist()))
        with torch.inference_mode():
            probabilities, offsets = (x[0].cpu().numpy() for x in self._propose(_tensor(level, self._device)))
        rows, columns = np.nonzero(probabilities >= PROPOSED)
        if not len(rows):
            return np.empty((0, 9))
        start = np.stack([columns, rows], axis=1) * stride + low
        boxes = np.hstack([(start + 1) / scale, (start + ProposalNetwork.WINDOW) / scale]) // 1
        scores = probabilities[rows, columns]
        proposals = np.hstack([boxes, scores[:, None], offsets[:, rows, columns].T])
        return proposals[_suppress(boxes, scores, SAME_SIZE_OVERLAP)]

    def _faces(
        self, view: "_View", proposed: list[np.ndarray], min_probability: float, enough: float = 0.0
    ) -> Detections:
        """The faces in proposed windows (N, 9) of some sizes. enough: a side that one of them must have, or none is."""
        proposals = np.concatenate([np.empty((0, 9)), *proposed])
        proposals = proposals[_suppress(proposals[:, :4], proposals[:, 4], OVERLAP)]
        sides = proposals[:, 2:4] - proposals[:, :2]
        boxes = _squared(proposals[:, :4] + proposals[:, 5:] * np.tile(sides, 2))
        boxes, says = self._judge(self._refine, view, boxes, REFINED)
        kept = _suppress(boxes, says[:, 0], OVERLAP)
        boxes = _squared(_moved(boxes[kept], says[kept, 1:]))
        if (boxes[:, 2:] - boxes[:, :2]).max(initial=0) < enough:
            boxes = boxes[:0]
        boxes, says = self._judge(self._output, view, boxes, ACCEPTED)
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        landmarks = boxes[:, None, :2] + says[:, 5:].reshape(-1, 2, 5).swapaxes(1, 2) * sides[:, None] - 1
        boxes = _moved(boxes, says[:, 1:5])
        faces = Detections(boxes, says[:, 0], landmarks).where(suppress_nested(boxes, says[:, 0]))
        return faces.where(faces.probabilities >= min_probability)

    def _judge(
        self, network: RefineNetwork | OutputNetwork, view: "_View", boxes: np.ndarray, min_probability: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The boxes that a network finds probable, and what it says of each."""
        whole = boxes.astype(int)  # towards zero
        windows = np.hstack([whole[:, :2].clip(1) - 1, np.minimum(whole[:, 2:], (view.width, view.height))])
        inside = (windows[:, 2:] > windows[:, :2]).all(1)
        boxes, keys = boxes[inside], [(network.WINDOW, *window) for window in windows[inside].tolist()]
        new = [key for key in dict.fromkeys(keys) if key not in view.results]
        for start in range(0, len(new), MAX_WINDOWS):
            batch = new[start : start + MAX_WINDOWS]
            pixels = view.pooled(np.array(batch)[:, 1:], (network.WINDOW, network.WINDOW))
            with torch.inference_mode():
                view.results |= zip(batch, network(_tensor(pixels, self._device)).double().cpu().numpy(), strict=True)
        says = np.array([view.results[key] for key in keys]).reshape(len(keys), network.OUTPUTS)
        probable = says[:, 0] > min_probability
        return boxes[probable], says[probable]


class _View:
    """An image to look at in windows: their mean pixels, and what the networks said of them.

    results: by the network's window and the window in the image, so that none is looked at twice.
    """

    def __init__(self, image: np.ndarray):
        self.height, self.width = image.shape[:2]
        self.results: dict[tuple[int, ...], np.ndarray] = {}
        self._integral = cv2.integral(image)

    def pooled(
        self, windows: np.ndarray, shape: tuple[int, int], part: tuple[int, int, int, int] | None = None
    ) -> np.ndarray:
        """The windows (N, 4), averaged to a shape, (N, *shape, 3) float32 in [-1, 1]; or a part xyxy of that.

        Each value is the mean of all pixels that it touches, as in torch's adaptive average pooling, which the
        published weights are used with. A sum of pixels is a difference of four values of the integral image.
        """
        left, top, right, bottom = part or (0, 0, shape[1], shape[0])
        x0, x1, across = _bins(windows[:, 0], windows[:, 2], shape[1], slice(left, right))
        y0, y1, down = _bins(windows[:, 1], windows[:, 3], shape[0], slice(top, bottom))
        flat, width = self._integral.reshape(-1, 3), self._integral.shape[1]

        def at(y: np.ndarray, x: np.ndarray) -> np.ndarray:
            return flat.take((y * width)[:, :, None] + x[:, None], axis=0)

        sums = (at(y1, x1) - at(y0, x1) - at(y1, x0) + at(y0, x0)).astype(np.float32)
        weights = (1 / 128 / (down[:, :, None] * across[:, None])).astype(np.float32)
        return sums * weights[..., None] - np.float32(127.5 / 128)


def load_mtcnn(device: str) -> tuple[ProposalNetwork, RefineNetwork, OutputNetwork]:
    """The three networks with their published weights, in evaluation mode. Raises WeightsError.

    The package is found but not imported, as it would import torchvision, which takes longer than torch itself.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = (spec.submodule_search_locations if spec else None) or []
    if not folders:
        raise WeightsError("the face detector's weights come with facenet-pytorch, which is not installed")
    folder = Path(folders[0]) / "data"
    networks = ProposalNetwork(), RefineNetwork(), OutputNetwork()
    for network, name in zip(networks, ("pnet.pt", "rnet.pt", "onet.pt"), strict=True):
        try:
            network.load_state_dict(torch.load(folder / name, map_location="cpu", weights_only=True), strict=True)
        except Exception as error:  # what a damaged file raises has many kinds
            raise WeightsError(f"{folder / name} is damaged or missing: install facenet-pytorch again") from error
        network.eval().requires_grad_(False).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return networks


def suppress_nested(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Non-maximum suppression by the share of the smaller box, for faces inside faces: indices, best first."""
    # Scores reach 1, and of equal ones the last is the first: then windows that refining found less sure, but that lie
    # closer around a face, go before wide ones.
    order, kept = np.argsort(scores, kind="stable")[::-1], []
    areas = (boxes[:, 2:] - boxes[:, :2] + 1).prod(1)
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        shared = np.minimum(boxes[order, 2:], boxes[best, 2:]) - np.maximum(boxes[order, :2], boxes[best, :2]) + 1
        order = order[shared.clip(0).prod(1) <= OVERLAP * np.minimum(areas[order], areas[best])]
    return np.array(kept, int)


def _window_sizes(low: float, high: float) -> list[float]:
    """Sizes from low to below high, the largest first."""
    sizes = [low]
    while sizes[-1] / FACTOR < high:
        sizes.append(sizes[-1] / FACTOR)
    return sizes[::-1] if low < high else []


def _suppress(boxes: np.ndarray, scores: np.ndarray, overlap: float) -> np.ndarray:
    """Non-maximum suppression: the indices of boxes that overlap none of a higher score by more, the best first."""
    corners = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
    kept = cv2.dnn.NMSBoxes(corners, scores, 0.0, overlap)  # type: ignore[arg-type] # its types leave out arrays
    return np.array(kept, int).reshape(-1)


def _squared(boxes: np.ndarray) -> np.ndarray:
    """Squares around the boxes' middles with their longer sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    side = sides.max(1, keepdims=True)
    start = boxes[:, :2] + (sides - side) / 2
    return np.hstack([start, start + side])


def _moved(boxes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return boxes + offsets * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)


def _bins(start: np.ndarray, end: np.ndarray, count: int, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the pixels of each of `count` parts begin and end, and how many they are, (N, parts) each. part: which."""
    steps, length = np.arange(count)[part], (end - start)[:, None]
    low, high = steps * length // count, -(-(steps + 1) * length // count)
    return start[:, None] + low, start[:, None] + high, high - low


def _tensor(pixels: np.ndarray, device: str) -> torch.Tensor:
    """(N, H, W, 3) as (N, 3, H, W), in the same order in memory."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)
