"""A model's architecture with random weights: what its training is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

UNTRAINED = ":untrained"  # behind a model's name: the same without its training


def random_weights(model_class: Any, source: str, config: PreTrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    """A model of `config` with random weights, the same each time; of `source`, a folder or Hub name, it has only the
    rules by which it writes.

    `model_class` is a class of transformers, or one of its Auto classes.
    """
    import torch
    from transformers import GenerationConfig

    build = getattr(model_class, "from_config", None) or model_class._from_config
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build(config, dtype=dtype)
    try:
        model.generation_config = GenerationConfig.from_pretrained(source)
    except OSError:
        pass  # the checkpoint has no such rules
    return model
