"""Turns of a chat, images, and the tokens of both."""

import numpy as np
from PIL import Image

from tests.tiny import IMAGE_SEQ_LENGTH
from vlm_demo.model import MiniVLMProcessor

IMAGE = ["<image>"] * IMAGE_SEQ_LENGTH


def noise(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def user(text: str, task: str | None = None) -> dict:
    return {"role": "user", "task": task, "text": text}


def assistant(text: str) -> dict:
    return {"role": "assistant", "text": text}


def image() -> dict:
    return {"type": "image"}


def words(text: str) -> dict:
    return {"type": "text", "text": text}


def tokens(processor: MiniVLMProcessor, ids: list[int]) -> list[str]:
    """Tokens with each run of plain ones joined to its text."""
    special = set(processor.tokenizer.all_special_ids)
    result, plain = [], []
    for token_id in [*ids, None]:
        if token_id is None or token_id in special:
            if plain:
                result.append(processor.tokenizer.decode(plain))
            plain = []
            if token_id is not None:
                result.append(processor.tokenizer.convert_ids_to_tokens(token_id))
        else:
            plain.append(token_id)
    return result
