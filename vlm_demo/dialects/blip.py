"""BLIP, BLIP-2 and GIT: a short caption, or one answer to one question about one image.

A BLIP checkpoint does one of the two, BLIP-2 both. GIT does what its checkpoint was trained for, and nothing in it
says which.
"""

from vlm_demo.dialects.base import Dialect

CAPTION = {"brief": ""}

BLIP = Dialect("This BLIP", frozenset({"blip"}), CAPTION, question=None, chat=False, max_images=1)
BLIP_ANSWERS = Dialect("This BLIP", frozenset({"BlipForQuestionAnswering"}), chat=False, max_images=1)
BLIP2 = Dialect("BLIP-2", frozenset({"blip-2"}), CAPTION, "Question: {question} Answer:", chat=False, max_images=1)
GIT = Dialect("GIT", frozenset({"git"}), CAPTION, chat=False, open_end=True, max_images=1)
