"""Training data: one file a kind of source, all of which give `Example`."""

from .base import BadRow, Draft, Example, Picture, Source

__all__ = ["BadRow", "Draft", "Example", "Picture", "Source"]
