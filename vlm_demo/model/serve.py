"""`transformers serve` for MiniVLM, which transformers does not know by itself:

python -m vlm_demo.model.serve checkpoints/minivlm-photographs --device cpu --port 8000
"""

import sys

import transformers
from transformers.cli.transformers import main as transformers_command
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from vlm_demo.model import MiniVLMConfig, MiniVLMForConditionalGeneration


def main() -> None:
    """Run transformers' own command where it finds our class: it looks for models among its own names."""
    name = MiniVLMForConditionalGeneration.__name__
    setattr(transformers, name, MiniVLMForConditionalGeneration)
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES[MiniVLMConfig.model_type] = name
    sys.argv[:1] = ["transformers", "serve"]
    transformers_command()


if __name__ == "__main__":
    main()
