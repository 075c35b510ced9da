"""Finishing a flow that networks have drawn: the parts of a face keep their shape, and arrive where landmarks lie."""

import torch

from faceedit.models.brows import keep_brows, lift_forehead
from faceedit.models.jaw import keep_jaw
from faceedit.models.lids import move_lids, unfold_lids
from faceedit.models.mouth import Mouth


def kept_parts(flow: torch.Tensor, mouth: Mouth) -> torch.Tensor:
    """The flow (N, 2, S, S) of the faces with these mouths, so changed that brows and jaws keep their shape."""
    return keep_jaw(keep_brows(flow, mouth.before, mouth.after), mouth.before, mouth.after)


def finished_flow(flow: torch.Tensor, mouth: Mouth, amount: torch.Tensor) -> torch.Tensor:
    """The flow likewise, with lips and lids taken to where landmarks lie, and the skin around lids and brows with them.

    amount: (N, 1, 1, 1) in [0, 1], how far lips and lids are.
    """
    before, after = mouth.before, mouth.after
    flow = lift_forehead(mouth.move_lips(kept_parts(flow, mouth), amount), after)
    return unfold_lids(move_lids(flow, before, after, amount), after)
