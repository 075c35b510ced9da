"""Mouths. `Mouth` is the one door to all that an edit draws of lips, teeth and what lies behind them; `painter` holds
the network that learns to paint the inside of a mouth instead."""

from faceedit.models.mouth.drawing import Mouth

__all__ = ["Mouth"]
