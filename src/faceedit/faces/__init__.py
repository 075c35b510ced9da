"""Faces in a photo: where they are, how they look, and whose they are."""
