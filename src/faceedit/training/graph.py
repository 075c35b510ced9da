"""Steps of training as CUDA graphs."""

from collections.abc import Callable

import torch

WARM_UP = 3  # calls before a graph is recorded, in which libraries choose their kernels and optimisers make their state

Step = Callable[..., dict[str, torch.Tensor]]


class Graphed:
    """A step of training that a GPU records once and then replays: launching its hundreds of small kernels from Python
    takes longer than computing them.

    step: from tensors, whose shapes stay, to scalars by name. It must not copy from the CPU, nor depend on anything
    else that changes but the weights and the state of optimisers, whose `capturable` must be set.
    """

    def __init__(self, step: Step):
        self._step, self._calls = step, 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[torch.Tensor] = []
        self._outputs: dict[str, torch.Tensor] = {}

    def __call__(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        if inputs[0].device.type != "cuda":
            return self._step(*inputs)
        if self._graph is None and self._calls < WARM_UP:
            self._calls += 1
            return self._beside(inputs)
        if self._graph is None:
            self._inputs = [x.clone() for x in inputs]
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):  # records, and computes nothing
                self._outputs = self._step(*self._inputs)
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given)
        self._graph.replay()
        return {name: output.clone() for name, output in self._outputs.items()}

    def _beside(self, inputs: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """A call in another stream than the default one, which no graph can record."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            outputs = self._step(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        return outputs
