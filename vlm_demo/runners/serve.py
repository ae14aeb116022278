"""`transformers serve` for MiniVLM, which transformers does not know by itself:

python -m vlm_demo.runners.serve checkpoints/minivlm-photographs --device cpu --port 8000
"""

import sys

import transformers

from vlm_demo.model import MiniVLMConfig, MiniVLMForConditionalGeneration
from vlm_demo.runners import transformers_private


def main() -> None:
    """Run transformers' own command where it finds our class: it looks for models among its own names."""
    name = MiniVLMForConditionalGeneration.__name__
    setattr(transformers, name, MiniVLMForConditionalGeneration)
    transformers_private.image_text_to_text_names()[MiniVLMConfig.model_type] = name
    sys.argv[:1] = ["transformers", "serve"]
    transformers_private.command()


if __name__ == "__main__":
    main()
