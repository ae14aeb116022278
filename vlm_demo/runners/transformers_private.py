"""What the runners use of transformers that transformers promises to nobody, all of it; as it is in the version below.

`tests/test_private.py` says what has changed when another one is installed. What the model itself uses stands in
`vlm_demo/model`, which goes to the Hub as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

VERSION = "5.23"


def prefill(model: PreTrainedModel, input_ids: torch.Tensor, generation_config: Any, kwargs: dict[str, Any]) -> Any:
    """What `generate()` does first: the model's output behind a prompt."""
    return model._prefill(input_ids, generation_config, kwargs)


def next_kwargs(model: PreTrainedModel, outputs: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What `generate()` hands on from one step to the next."""
    return model._update_model_kwargs_for_generation(
        outputs, kwargs, is_encoder_decoder=model.config.is_encoder_decoder
    )


def file_of(source: str, name: str) -> str | None:
    """A file of a folder or Hub name, None where it has no such file."""
    from transformers.utils import cached_file

    return cached_file(source, name, _raise_exceptions_for_missing_entries=False)


def image_text_to_text_names() -> dict[str, str]:
    """For each model type that `AutoModelForImageTextToText` opens, the name of its class."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    return MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def command() -> None:
    """What `transformers` on the command line runs."""
    from transformers.cli.transformers import main

    main()
