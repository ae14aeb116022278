"""Measures a model on unseen photographs: python -m benchmarks.photographs [--split validation|test] [--json FILE]

Every answer comes from the engine that the app uses, greedy. "blind" is the same question with a grey image, which
shows how much is really seen; "commonest" is what always giving the commonest answer would get.
"""

import argparse
import json
from pathlib import Path

from train.photographs.evaluation import measure
from vlm_demo.checkpoints import bundled
from vlm_demo.engine import Engine


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of photographs/ and fruits/")
    parser.add_argument("--limit", type=int, help="at most so many of each kind")
    parser.add_argument("--model", default=str(bundled("minivlm-photographs")), help="folder or Hub name")
    parser.add_argument("--dtype", default="auto", help="as of app.py")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    engine = Engine(args.model, dtype=args.dtype, max_waiting=10_000, waiting_per_session=100)
    figures = measure(engine, args.data, args.split, args.limit)
    engine.close()
    for name, value in figures.items():
        if isinstance(value, dict):
            print(name)
            for inner, one in value.items():
                print(f"  {inner:20} {one:.3f}")
        else:
            print(f"{name:22} {value:.3f}" if isinstance(value, float) else f"{name:22} {value}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
