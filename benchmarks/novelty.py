"""Measures the out-of-distribution notice: python -m benchmarks.novelty [--photos FOLDER] [--count N]

Shares flagged among real photographs (every image in the parquet files and folders below FOLDER, a seeded sample of
N) and among N fresh icon scenes, through the app's engine.
"""

import argparse
import io
import json
import random
from pathlib import Path

from PIL import Image

from vlm_demo.engine import ICONS, Engine
from vlm_demo.scenes import make_scene

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}


def photographs(folder: Path, count: int, seed: int) -> list[Image.Image]:
    """A sample of the images in a folder: files, and the `image` column of parquet files."""
    import pyarrow.parquet as parquet

    blobs = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES]
    for path in sorted(folder.rglob("*.parquet")):
        blobs += [row["bytes"] for row in parquet.read_table(path, columns=["image"])["image"].to_pylist()]
    chosen = random.Random(seed).sample(blobs, min(count, len(blobs)))
    return [Image.open(io.BytesIO(blob)).convert("RGB") for blob in chosen]


def main() -> None:
    """Print both shares and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=Path("../shared/data"))
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="auto", help="as of app.py")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    engine = Engine(ICONS, dtype=args.dtype)
    figures = {}
    folders = [args.photos / name for name in ("flickr8k", "animals", "daquar", "photos")]
    candidates = [image for folder in folders for image in photographs(folder, args.count // 3, args.seed)]
    sampled = {
        "photographs_flagged": random.Random(args.seed).sample(candidates, min(args.count, len(candidates))),
        "scenes_flagged": [make_scene(args.seed + k).image() for k in range(args.count)],
    }
    for name, images in sampled.items():
        flagged = [engine.novelty(image).outside for image in images]
        figures[name] = sum(flagged) / max(1, len(flagged))
        print(f"{name:22} {figures[name]:.4f}  n={len(flagged)}")
    engine.close()
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
