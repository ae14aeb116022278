"""How each family of models is asked, and how it writes boxes: one small file a family."""

from vlm_demo.dialects.base import Dialect
from vlm_demo.dialects.blip import BLIP, BLIP2, BLIP_ANSWERS, GIT
from vlm_demo.dialects.florence2 import FLORENCE2
from vlm_demo.dialects.general import GENERAL
from vlm_demo.dialects.llava import LLAVA, LLAVA_ONEVISION
from vlm_demo.dialects.minivlm import MINIVLM
from vlm_demo.dialects.paligemma import PALIGEMMA
from vlm_demo.dialects.qwen import QWEN2_5, QWEN3
from vlm_demo.dialects.smolvlm import IDEFICS3, SMOLVLM

FAMILIES = (
    SMOLVLM,
    IDEFICS3,
    QWEN2_5,
    QWEN3,
    PALIGEMMA,
    FLORENCE2,
    LLAVA,
    LLAVA_ONEVISION,
    BLIP,
    BLIP_ANSWERS,
    BLIP2,
    GIT,
    MINIVLM,
)


def dialect_of(model_type: str, architecture: str = "") -> Dialect:
    """The dialect for what a config says; the general one for a family without its own."""
    for name in (architecture, model_type):
        for dialect in FAMILIES:
            if name in dialect.model_types:
                return dialect
    return GENERAL


__all__ = ["FAMILIES", "GENERAL", "Dialect", "dialect_of"]
