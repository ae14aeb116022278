"""Features of photographs by the frozen vision tower, computed once: the images as they are, mirrored, cropped, and
mosaics of four.

On a GPU they stay in its memory; on a CPU they are kept on disk, in a folder named after the tower's weights.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from train.photographs import words
from train.photographs.data import Photo, mosaic, variants
from vlm_demo.model import PhotoVisionModel

BATCH = 64  # on a CPU 8, whose caches hold as much
CHUNK = 1024  # images of one file on disk
STATISTICS = 2000  # images that the mean and deviation of each channel are taken from

Shown = tuple[int, int]


class Images(Dataset):
    """Pixels `[3, SIDE, SIDE]` as bytes of what is shown; mosaics are of the photographs whose objects are all known."""

    def __init__(self, photos: list[Photo], shown: list[Shown]) -> None:
        self.photos, self.shown = photos, shown
        self.boxed = [photo for photo in photos if photo.boxed == "all" and photo.objects and photo.source != "mosaic"]

    def __len__(self) -> int:
        return len(self.shown)

    def __getitem__(self, index: int) -> torch.Tensor:
        number, variant = self.shown[index]
        photo = self.photos[number]
        if photo.source == "mosaic":
            image, _ = mosaic(self.boxed, int(photo.image_id.removeprefix("mosaic-")))
        else:
            image = variants(photo.image_id)[variant].image(photo.open())
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def with_mosaics(photos: list[Photo], count: int) -> list[Photo]:
    """The photographs and behind them `count` mosaics."""
    boxed = [photo for photo in photos if photo.boxed == "all" and photo.objects]
    return [*photos, *(mosaic(boxed, number)[1] for number in tqdm(range(count), desc="mosaics", mininterval=5))]


def batches(tower: PhotoVisionModel, images: Images, workers: int) -> Iterator[tuple[torch.Tensor, list[tuple]]]:
    """Features `[B, N, C]` and the regions of each image, batch by batch."""
    device, dtype = tower.device, tower.dtype
    with torch.inference_mode():
        for pixels in tqdm(
            DataLoader(images, BATCH if device.type == "cuda" else 8, num_workers=workers),
            desc="features",
            mininterval=5,
        ):
            out = tower(pixels.to(device).to(dtype) / 127.5 - 1)
            sizes = torch.cat([out.boxes[..., :2], out.boxes[..., 2:] - out.boxes[..., :2]], -1)
            columns = zip(out.labels.tolist(), out.scores.tolist(), sizes.tolist(), strict=True)
            regions = [
                tuple((words.LABELS[label], score, tuple(box)) for label, score, box in zip(*one, strict=True))
                for one in columns
            ]
            yield out.last_hidden_state.to(torch.bfloat16), regions


def standardise(tower: PhotoVisionModel, photos: list[Photo], workers: int) -> None:
    """Set the tower's mean and deviation of each channel from a part of the photographs."""
    width = len(tower.feature_mean)
    tower.feature_mean.zero_()
    tower.feature_std.fill_(1.0)
    step = max(1, len(photos) // STATISTICS)
    count, total, squares = 0, torch.zeros(width).double(), torch.zeros(width).double()
    for features, _ in batches(tower, Images(photos, [(n, 0) for n in range(0, len(photos), step)]), workers):
        flat = features[..., :width].flatten(0, 1).float()
        count += len(flat)
        total += flat.sum(0).double().cpu()
        squares += flat.square().sum(0).double().cpu()
    mean = total / count
    tower.feature_mean.copy_(mean)
    tower.feature_std.copy_((squares / count - mean**2).clamp(min=0.01).sqrt())  # some channels are hardly ever on


class Features:
    """Features of everything in `shown`, and the regions by number and variant."""

    def __init__(self, tower: PhotoVisionModel, photos: list[Photo], shown: list[Shown], folder: Path, workers: int):
        self.index = {one: n for n, one in enumerate(shown)}
        self.regions: dict[Shown, tuple] = {}
        self.device = tower.device
        if self.device.type == "cuda":
            config = tower.config
            shape = (len(shown), config.seq_length, config.hidden_size)
            self.data = torch.empty(shape, dtype=torch.bfloat16, device=self.device)
            at = 0
            for features, regions in batches(tower, Images(photos, shown), workers):
                self.data[at : at + len(features)] = features
                self._keep(shown[at : at + len(features)], regions)
                at += len(features)
            return
        folder = folder / digest(tower)
        folder.mkdir(parents=True, exist_ok=True)
        self.files = [
            self._file(folder, tower, photos, shown[at : at + CHUNK], workers) for at in range(0, len(shown), CHUNK)
        ]

    def __call__(self, shown: list[Shown]) -> torch.Tensor:
        """`[images, N, C]`, bfloat16, on the tower's device."""
        numbers = [self.index[one] for one in shown]
        if self.device.type == "cuda":
            return self.data[torch.tensor(numbers, device=self.device)]
        parts = [torch.from_numpy(self.files[n // CHUNK][n % CHUNK].copy()) for n in numbers]
        return torch.stack(parts).view(torch.bfloat16)

    def _keep(self, shown: list[Shown], regions: list[tuple]) -> None:
        self.regions.update(zip(shown, regions, strict=True))

    def _file(self, folder: Path, tower: PhotoVisionModel, photos: list[Photo], shown: list[Shown], workers: int):
        """A memory map `[images, N, C]` of bfloat16 (kept as int16), made unless it is there; regions stand beside it."""
        key = hashlib.sha256(repr([(photos[n].image_id, v) for n, v in shown]).encode()).hexdigest()[:16]
        path, beside = folder / f"{key}.npy", folder / f"{key}.pt"
        if not path.exists():
            parts, found = [], []
            for features, regions in batches(tower, Images(photos, shown), workers):
                parts.append(features)
                found += regions
            torch.save(found, beside)
            partial = path.with_suffix(".partial")
            with open(partial, "wb") as file:
                np.save(file, torch.cat(parts).view(torch.int16).numpy())
            os.replace(partial, path)
        self._keep(shown, torch.load(beside, weights_only=True))
        return np.load(path, mmap_mode="r")


def digest(tower: PhotoVisionModel) -> str:
    """A name for these very weights."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tower.state_dict().items()):
        sha.update(name.encode() + tensor.float().contiguous().cpu().numpy().tobytes())
    return sha.hexdigest()[:16]
