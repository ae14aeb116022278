"""Vision features of a frozen backbone, computed once and kept on disk, memory-mapped.

A folder is named after the backbone's weights and the preprocessing, so features of another backbone, or of images
resized in another way, can never be taken by mistake. It holds shards of some hundred images: `NAME.npy`, bfloat16
stored as int16 [P, N, C], beside `NAME.json` with the images' keys and the array's checksum. A shard that is
damaged is computed again.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from train import features
from train.data import LazyImage
from train.files import write_whole
from vlm_demo.images import ImageError
from vlm_demo.model import MiniVLMForConditionalGeneration, MiniVLMProcessor

SHARD_SIZE = 256  # images in one file
ENCODED_AT_ONCE = 16
AGREE = 0.05  # relative difference between kept and fresh features that rounding to bfloat16 explains


def fingerprint(model: MiniVLMForConditionalGeneration, processor: MiniVLMProcessor) -> str:
    """What the features depend on: the backbone's weights and config, and how images are prepared."""
    config = {key: value for key, value in model.config.vision_config.to_dict().items() if key[0] != "_"}
    preparation = processor.image_processor.to_json_string() + json.dumps(config, sort_keys=True, default=str)
    return features.fingerprint(model.model.vision_tower, preparation.encode())


class VisionCache:
    """Features by image key. `rank` of `world` processes computes its part; `wait` waits for the others."""

    def __init__(
        self,
        folder: Path,
        model: MiniVLMForConditionalGeneration,
        processor: MiniVLMProcessor,
        rank: int = 0,
        world: int = 1,
        wait: Callable[[], None] = lambda: None,
        bf16: bool = False,
    ) -> None:
        self.bf16 = bf16  # compute in bfloat16, which is how they are kept in any case
        self.folder = folder / (fingerprint(model, processor) + ("-bf16" if bf16 else ""))
        self.model, self.processor = model, processor
        self.rank, self.world, self.wait = rank, world, wait
        self.locations: dict[str, tuple[np.ndarray, int]] = {}
        self.broken: dict[str, str] = {}
        self.opened: set[Path] = set()
        self.verified = False
        self.folder.mkdir(parents=True, exist_ok=True)
        self._open()

    def __call__(self, keys: Sequence[str]) -> torch.Tensor:
        """Features [len(keys), N, C] in bfloat16."""
        rows = [self.locations[key] for key in keys]
        if not rows:
            return torch.empty(0)
        return features.from_array(np.stack([array[row] for array, row in rows]))

    def ensure(self, images: dict[str, LazyImage]) -> dict[str, str]:
        """Compute what is missing; gives back the images that cannot be read, key to reason."""
        missing = sorted(key for key in images if key not in self.locations and key not in self.broken)
        cached = next((key for key in images if key in self.locations), None)
        if cached is not None and not self.verified:
            self._verify(cached, images[cached])
        shards = [missing[at : at + SHARD_SIZE] for at in range(0, len(missing), SHARD_SIZE)]
        self.wait()  # nobody writes before all have seen what is missing
        with tqdm(total=len(missing), desc="vision features", unit="image", disable=not missing or self.rank) as bar:
            for number, keys in enumerate(shards):
                if number % self.world == self.rank:
                    self._compute(keys, images)
                bar.update(len(keys))
        self.wait()
        if missing:
            self._open()
        return {key: self.broken[key] for key in images if key in self.broken}

    def _open(self) -> None:
        """Map every new shard that is whole; delete the others."""
        for note in sorted(set(self.folder.glob("*.json")) - self.opened):
            array_path = note.with_suffix(".npy")
            try:
                metadata = json.loads(note.read_text())
                array = np.load(array_path, mmap_mode="r")
                if len(array) != len(metadata["keys"]) or zlib.crc32(np.ascontiguousarray(array)) != metadata["crc32"]:
                    raise ValueError("the checksum differs")
            except (OSError, ValueError, KeyError) as error:
                if self.rank == 0:
                    print(f"{note}: these cached features are damaged ({error}); they are computed again.")
                    note.unlink(missing_ok=True)
                continue
            self.opened.add(note)
            self.locations |= {key: (array, row) for row, key in enumerate(metadata["keys"])}
            self.broken |= metadata["broken"]

    @torch.no_grad()
    def _features(self, lazy: list[LazyImage]) -> tuple[torch.Tensor, dict[str, str]]:
        """Features [readable images, N, C], and which images cannot be read."""
        with ThreadPoolExecutor() as pool:
            opened = dict(zip((image.key for image in lazy), pool.map(_open_or_why, lazy), strict=True))
        images = [image for image in opened.values() if not isinstance(image, str)]
        tower, parts = self.model.model.vision_tower, []
        was_training = tower.training
        tower.eval()
        device = next(tower.parameters()).device
        for at in range(0, len(images), ENCODED_AT_ONCE):
            pixels = self.processor.image_processor(images[at : at + ENCODED_AT_ONCE], return_tensors="pt")
            with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
                encoded = self.model.get_vision_features(pixels["pixel_values"].to(device))  # [B, N, C]
            parts.append(encoded.to(torch.bfloat16).cpu())
        tower.train(was_training)
        broken = {key: why for key, why in opened.items() if isinstance(why, str)}
        return torch.cat(parts) if parts else torch.empty(0), broken

    def _compute(self, keys: list[str], images: dict[str, LazyImage]) -> None:
        encoded, broken = self._features([images[key] for key in keys])
        valid = [key for key in keys if key not in broken]
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
        array = features.save(self.folder / f"{name}.npy", encoded)
        metadata = json.dumps({"keys": valid, "broken": broken, "crc32": zlib.crc32(array)})
        write_whole(self.folder / f"{name}.json", lambda file: file.write(metadata.encode()))

    def _verify(self, key: str, image: LazyImage) -> None:
        """Compute one image anew: what is kept must be what the backbone gives."""
        fresh, broken = self._features([image])
        cached = self([key]).float()
        if broken or (fresh.float() - cached).norm() > AGREE * cached.norm() + 1e-6:
            raise ValueError(
                f"The features kept in {self.folder} are not what the backbone gives now. "
                "Delete this folder and run the same command again."
            )
        self.verified = True


def _open_or_why(image: LazyImage) -> Image.Image | str:
    try:
        return image.open()
    except ImageError as error:
        return str(error)


def check_only(images: dict[str, LazyImage]) -> dict[str, str]:
    """Open every image once, where no features are kept; gives back those that cannot be read, key to reason."""
    with ThreadPoolExecutor() as pool:
        checked = pool.map(lambda image: (image.key, _why_not(image)), images.values())
        bar = tqdm(checked, total=len(images), desc="checking images", unit="image", leave=False)
        return {key: why for key, why in bar if why}


def _why_not(image: LazyImage) -> str:
    opened = _open_or_why(image)
    return opened if isinstance(opened, str) else ""
