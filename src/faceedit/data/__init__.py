"""Labelled photos: reading their labels, cutting their faces, and serving the crops."""
