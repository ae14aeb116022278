"""Measures the model on unseen icon scenes: python -m benchmarks.quality [--scenes N] [--seed S] [--json FILE]

Every answer comes from the engine that the app uses, greedy, on images of 512 pixels like those on the page, and is
compared with the scene's exact reference. Scene k of a run is `make_scene(seed + k)`; training seeds start at 2**40.
"""

import argparse
import json
from pathlib import Path

from train.evaluation.scenes import measure
from vlm_demo.engine import ICONS, Engine


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--model", default=str(ICONS), help="folder or Hub name (default: the bundled one)")
    parser.add_argument("--dtype", default="auto", help="as of app.py: what int8 costs, for example")
    args = parser.parse_args()
    engine = Engine(args.model, dtype=args.dtype)
    figures = measure(engine, args.scenes, args.seed)
    engine.close()
    for key, value in figures.items():
        if isinstance(value, (int, float)):
            print(f"{key:20} {value:.4f}" if isinstance(value, float) else f"{key:20} {value}")
    for kind, entry in figures["vqa_by_kind"].items():
        print(f"  {kind:20} {entry['accuracy']:.3f}  n={entry['n']}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
