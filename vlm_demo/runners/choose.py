"""Which runner writes for a model: ours for MiniVLM, the general one for every other family."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from vlm_demo.description import FILE as DESCRIPTION
from vlm_demo.description import Description, read_description
from vlm_demo.dialects import dialect_of
from vlm_demo.familiarity import FILE as FAMILIARITY
from vlm_demo.runners.base import ModelRunner
from vlm_demo.runners.needs import check_there
from vlm_demo.runners.transformers_private import file_of
from vlm_demo.runners.untrained import UNTRAINED


def open_runner(source: str | Path, device: str = "auto", dtype: str = "auto") -> ModelRunner:
    """The runner for a folder or a Hub name, or for NAME:untrained, the same architecture with random weights. Nothing
    is loaded yet; of a Hub name, the config is fetched.

    A name that cannot be looked up gets the general runner, which says why on its first use.
    """
    from vlm_demo.runners.hub import HubRunner
    from vlm_demo.runners.minivlm import MiniVLMRunner

    name = str(source).removesuffix(UNTRAINED)
    config = _config(name)
    if config.get("model_type") == "minivlm":
        runner = MiniVLMRunner(name, device, dtype)
        if not Path(name).is_dir():
            runner.description = _description(name)
    else:
        architecture = (config.get("architectures") or [""])[0]
        runner = HubRunner(name, device, dtype, dialect=dialect_of(config.get("model_type", ""), architecture))
    return runner if name == str(source) else runner.untrained()


def _config(source: str) -> dict[str, Any]:
    try:
        if Path(source).is_dir():
            file = Path(source, "config.json")
        else:
            from huggingface_hub import hf_hub_download

            check_there(source)
            file = Path(hf_hub_download(source, "config.json"))
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except Exception:  # whatever it is, opening the model meets it again and explains it
        return {}


def _description(source: str) -> Description:
    """What one of our own models on the Hub says of itself."""
    with suppress(OSError):  # without a network, what is not here is not told
        files = [file_of(source, name) for name in (DESCRIPTION, FAMILIARITY)]
        return read_description(next((Path(file).parent for file in files if file), None))
    return Description()
