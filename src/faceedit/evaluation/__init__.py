"""How good editors are, measured on labelled photos."""
