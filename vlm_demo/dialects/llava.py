"""LLaVA, which was trained on one image a chat, and LLaVA-OneVision, which takes several. No list of boxes."""

from vlm_demo.dialects.base import CAPTIONS, Dialect

LLAVA = Dialect("LLaVA", frozenset({"llava", "llava_next"}), CAPTIONS, max_images=1)
LLAVA_ONEVISION = Dialect("LLaVA-OneVision", frozenset({"llava_onevision"}), CAPTIONS, packages=("torchvision",))
