"""Renders the training scenes once: python -m train.icons.rendering [--scenes 60000] [--pairs 24000] [--stories 6000]

Images of icon scenes at the model's own size go to runs/drawings/ as uint8 arrays, 1,000 groups a file; what is there
already is kept, so the command can be stopped and started again. The scenes themselves are made again from their seeds.
"""

import argparse
import os
import random
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from train.files import write_whole
from vlm_demo import scenes

FOLDER = Path("runs/drawings")
SIZE = 128  # pixels a side
CHUNK = 1000
GROUPS = {"scenes": 1, "pairs": 2, "stories": 3}  # images in one group
# Training seeds lie far from the small numbers that people and benchmarks use, so that those scenes stay unseen.
FIRST_SEED = 1 << 40


def group(kind: str, index: int) -> scenes.Scene | scenes.Pair | scenes.Story:
    """The description of a training group; held-out combinations never occur in it."""
    seed = FIRST_SEED + index
    if kind == "scenes":
        return scenes.make_scene(seed, combos="seen")
    return scenes.make_pair(seed, combos="seen") if kind == "pairs" else scenes.make_story(seed, combos="seen")


def render(scene: scenes.Scene, rng: random.Random) -> np.ndarray:
    """The image as the model sees it [SIZE, SIZE, 3], drawn at one of several sizes and reduced like any upload."""
    side = rng.choices((256, 384, 512), weights=(6, 3, 1))[0]
    return np.asarray(scene.image(side).resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def _render_chunk(job: tuple[str, int, str]) -> None:
    kind, chunk, path = job
    images = []
    for index in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        described = group(kind, index)
        members = (described,) if kind == "scenes" else described.scenes
        rng = random.Random(index)
        side = rng.getrandbits(32)
        images += [render(scene, random.Random(side)) for scene in members]  # one size for all images of a group
    drawn = np.stack(images).reshape(CHUNK, GROUPS[kind], SIZE, SIZE, 3)
    write_whole(Path(path), lambda file: np.save(file, drawn))


def open_rendered(kind: str, count: int) -> list[np.ndarray]:
    """Memory maps [CHUNK, images, SIZE, SIZE, 3] of the first `count` groups of a kind."""
    paths = [FOLDER / f"{kind}-{chunk:04d}.npy" for chunk in range(count // CHUNK)]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise SystemExit(
            f"{len(missing)} files of {kind} are missing in {FOLDER}. "
            f"Run: python -m train.icons.rendering --{kind} {count}"
        )
    return [np.load(path, mmap_mode="r") for path in paths]


def main() -> None:
    """Render what is missing, with one process per core and a progress bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=60_000)
    parser.add_argument("--pairs", type=int, default=24_000)
    parser.add_argument("--stories", type=int, default=6_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    jobs = [
        (kind, chunk, str(FOLDER / f"{kind}-{chunk:04d}.npy"))
        for kind in GROUPS
        for chunk in range(getattr(args, kind) // CHUNK)
    ]
    jobs = [job for job in jobs if not os.path.exists(job[2])]
    with get_context("spawn").Pool(args.workers) as pool:
        for _ in tqdm(pool.imap_unordered(_render_chunk, jobs), total=len(jobs), unit="file"):
            pass


if __name__ == "__main__":
    main()
