"""Which runner writes for a model: ours for MiniVLM, the general one for every other family."""

from __future__ import annotations

import json
from pathlib import Path

from vlm_demo.runners.base import ModelRunner
from vlm_demo.runners.untrained import UNTRAINED


def open_runner(source: str | Path, device: str = "auto", dtype: str = "auto") -> ModelRunner:
    """The runner for a folder or a Hub name, or for NAME:untrained, the same architecture with random weights. Nothing
    is loaded yet; of a Hub name, the config is fetched.

    A name that cannot be looked up gets the general runner, which says why on its first use.
    """
    from vlm_demo.runners.hub import HubRunner
    from vlm_demo.runners.minivlm import MiniVLMRunner

    name = str(source).removesuffix(UNTRAINED)
    kind = MiniVLMRunner if _model_type(name) == "minivlm" else HubRunner
    runner = kind(name, device, dtype)
    return runner if name == str(source) else runner.untrained()


def _model_type(source: str) -> str | None:
    try:
        if Path(source).is_dir():
            file = Path(source, "config.json")
        else:
            from huggingface_hub import hf_hub_download

            file = Path(hf_hub_download(source, "config.json"))
        return json.loads(file.read_text(encoding="utf-8")).get("model_type")
    except Exception:  # whatever it is, opening the model meets it again and explains it
        return None
