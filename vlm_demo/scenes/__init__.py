"""Icon scenes: a small world drawn by code, with the exact truth for every task.

`make_scene(seed)` gives one image, `make_pair(seed)` two that differ in known ways, `make_story(seed)` a short
sequence and `make_selection(seed)` a "which image ...?" question. The same seed always gives the same scene.
"""

from .asking import QA
from .selection import Selection, make_selection
from .several import Change, Pair, Story, make_pair, make_story
from .world import COLORS, LABELS, SETTINGS, Scene, SceneObject, is_heldout, make_scene

__all__ = [
    "COLORS",
    "LABELS",
    "QA",
    "SETTINGS",
    "Change",
    "Pair",
    "Scene",
    "SceneObject",
    "Selection",
    "Story",
    "is_heldout",
    "make_pair",
    "make_scene",
    "make_selection",
    "make_story",
]
