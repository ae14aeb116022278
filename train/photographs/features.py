"""Features of photographs by the frozen vision tower, computed once: the images as they are, mirrored, cropped, and
mosaics of four."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from train.photographs import words
from train.photographs.data import Photo, mosaic, variants
from vlm_demo.model import PhotoVisionModel

BATCH = 64  # on a CPU 8, whose caches hold as much
STATISTICS = 2000  # images that the mean and deviation of each channel are taken from

Shown = tuple[int, int]


class Images(Dataset):
    """Pixels `[3, SIDE, SIDE]` of what is shown, as bytes; mosaics are of photographs whose objects are all known."""

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


@torch.inference_mode()
def see(tower: PhotoVisionModel, pixels: torch.Tensor) -> tuple[torch.Tensor, list[tuple]]:
    """Features `[B, N, C]` and the regions of each image of `pixels` `[B, 3, SIDE, SIDE]`, bytes."""
    out = tower(pixels.to(tower.device).to(tower.dtype) / 127.5 - 1)
    sizes = torch.cat([out.boxes[..., :2], out.boxes[..., 2:] - out.boxes[..., :2]], -1)
    columns = zip(out.labels.tolist(), out.scores.tolist(), sizes.tolist(), strict=True)
    regions = [
        tuple((words.LABELS[label], score, tuple(box)) for label, score, box in zip(*one, strict=True))
        for one in columns
    ]
    return out.last_hidden_state.to(torch.bfloat16), regions


def batches(tower: PhotoVisionModel, images: Images, workers: int) -> Iterator[tuple[torch.Tensor, list[tuple]]]:
    """What `see` gives, batch by batch."""
    loader = DataLoader(images, BATCH if tower.device.type == "cuda" else 8, num_workers=workers)
    for pixels in tqdm(loader, desc="features", mininterval=5):
        yield see(tower, pixels)


def standardize(tower: PhotoVisionModel, photos: list[Photo], workers: int) -> None:
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
    """Features of everything in `shown`, and the regions of each by number and variant, as in `conversations.Seen`.

    On a GPU all are computed at once. On a CPU each is computed when it is first asked for, which a run that shows few
    of them does not wait for, and kept in memory.
    """

    def __init__(self, tower: PhotoVisionModel, photos: list[Photo], shown: list[Shown], workers: int = 0) -> None:
        self.tower, self.images = tower, Images(photos, shown)
        self.index = {one: n for n, one in enumerate(shown)}
        self.regions: Mapping[Shown, tuple] = LazyRegions(self)
        self.cache: dict[Shown, tuple[torch.Tensor, tuple]] = {}
        self.device = tower.device
        if self.device.type != "cuda":
            return
        shape = (len(shown), tower.config.seq_length, tower.config.hidden_size)
        self.data = torch.empty(shape, dtype=torch.bfloat16, device=self.device)
        all_regions, at = [], 0
        for features, regions in batches(tower, self.images, workers):
            self.data[at : at + len(features)] = features
            all_regions += regions
            at += len(features)
        self.regions = dict(zip(shown, all_regions, strict=True))

    def __call__(self, shown: list[Shown]) -> torch.Tensor:
        """`[images, N, C]`, bfloat16, on the tower's device."""
        if self.device.type == "cuda":
            return self.data[torch.tensor([self.index[one] for one in shown], device=self.device)]
        return torch.stack([self.look(one)[0] for one in shown])

    def look(self, one: Shown) -> tuple[torch.Tensor, tuple]:
        """Features `[N, C]` and regions of one image, on a CPU."""
        if one not in self.cache:
            pixels = self.images[self.index[one]][None]
            with torch.autocast("cpu", torch.bfloat16):
                features, regions = see(self.tower, pixels.contiguous(memory_format=torch.channels_last))
            self.cache[one] = (features[0], regions[0])
        return self.cache[one]


class LazyRegions(Mapping):
    """The regions of what is shown, each computed when it is asked for."""

    def __init__(self, features: Features) -> None:
        self.features = features

    def __getitem__(self, one: Shown) -> tuple:
        return self.features.look(one)[1]

    def __iter__(self) -> Iterator[Shown]:
        return iter(self.features.index)

    def __len__(self) -> int:
        return len(self.features.index)
