"""Mouths. `Mouth` draws all that an edit changes of lips, teeth and what lies behind them. In photos, the network of
`inpainter` draws what lies between the lips instead."""

from faceedit.models.mouth.drawing import Mouth

__all__ = ["Mouth"]
