"""From a folder of labelled photos to published weights."""
