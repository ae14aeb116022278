"""SmolVLM and Idefics3: chats over several images. They were not trained to write boxes."""

from vlm_demo.dialects.base import CAPTIONS, Dialect

SMOLVLM = Dialect("SmolVLM", frozenset({"smolvlm"}), CAPTIONS, packages=("num2words", "torchvision"))
IDEFICS3 = Dialect("Idefics3", frozenset({"idefics3"}), CAPTIONS)
