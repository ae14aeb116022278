"""Any image-text-to-text model with a chat template: captions, questions, comparing, but no boxes."""

from vlm_demo.dialects.base import CAPTIONS, Dialect

GENERAL = Dialect("This model", captions=CAPTIONS)
