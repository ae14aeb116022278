"""Model cards as the Hub reads them."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

VLM = {"license": "apache-2.0", "library_name": "transformers", "pipeline_tag": "image-text-to-text"}


def write_card(folder: Path, text: str, **metadata: Any) -> None:
    """Write `README.md`: the metadata (the arguments of ModelCardData), then the text, whose figures stand in tables
    made by `train.report.table`."""
    head = ModelCardData(**metadata).to_yaml()
    (folder / "README.md").write_text(f"---\n{head}\n---\n{text}", encoding="utf-8")
