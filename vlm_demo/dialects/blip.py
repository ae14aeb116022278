"""BLIP, BLIP-2 and GIT: a short caption, or one answer to one question about one image."""

from vlm_demo.dialects.base import Dialect

BLIP = Dialect("BLIP", frozenset({"blip"}), {"brief": ""}, question="{question}", chat=False, max_images=1)
BLIP2 = Dialect(
    "BLIP-2", frozenset({"blip-2"}), {"brief": ""}, question="Question: {question} Answer:", chat=False, max_images=1
)
GIT = Dialect("GIT", frozenset({"git"}), {"brief": ""}, question="{question}", chat=False, max_images=1)
