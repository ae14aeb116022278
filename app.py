"""Starts the page: flags, then the engine, then the app. A Hugging Face Space runs this file as it is.

python app.py --port 7860
"""

import argparse
import importlib
import importlib.util
import logging
import os
import signal
import sys
import threading

# Before torch is imported: its idle threads shall spin a fifteenth as long as they usually do before they sleep. In a
# class the page needs the cores on which they wait for more work.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

from vlm_demo import memory
from vlm_demo.engine import ICONS, Engine, get_engine
from vlm_demo.ui import Owner, build_app, launch_options


def read_flags() -> argparse.Namespace:
    """The flags of the command line."""
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")  # a Space says where to listen
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model",
        nargs="+",
        default=[None],
        help="folder or Hub name of a model, ours or of another family, or FAMILY=URL of a server (default: the "
        "bundled ones); of several, each visitor chooses",
    )
    parser.add_argument("--device", default="auto", help="cuda, mps, cpu or auto (default: auto)")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16, float16, int8 (on a CPU) or auto")
    parser.add_argument(
        "--memory", type=float, default=8.0, help="GB for all loaded models together, least recently used ones go first"
    )
    parser.add_argument("--host", default=host, help=f"address to listen on (default: {host})")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    parser.add_argument(
        "--mcp", action="store_true", help="serve the endpoints to MCP clients, too, at /gradio_api/mcp/"
    )
    parser.add_argument(
        "--add-models",
        choices=["owner", "everyone", "nobody"],
        default="owner",
        help="who may bring in other models while the page runs; folders are for the owner alone (default: owner)",
    )
    parser.add_argument("--share", action="store_true", help="also open a public link through gradio.live")
    parser.add_argument("--no-preload", action="store_true", help="load the model on the first question, not at start")
    flags = parser.parse_args()
    if flags.mcp and importlib.util.find_spec("mcp") is None:
        parser.error("--mcp needs a package that is missing. Install it: pip install -r requirements-mcp.txt")
    return flags


def preload(engine: Engine) -> None:
    """Load the model; when that fails the page stays up, and each question tells the same."""
    try:
        engine.load()
        importlib.import_module("vlm_demo.detection.library")  # slow; then the first drawing need not wait for it
        if str(ICONS) in engine.models:  # which is small, and answers in tabs that show two models or know the truth
            engine.load(str(ICONS))
            engine.load()  # once more, where there is no room for both
    except Exception as error:
        logging.error("The model could not be loaded: %s", error)


def main() -> None:
    """Serve the page until Ctrl+C, or until a container is told to stop."""
    flags = read_flags()
    memory.share()
    memory.keep_tidy()
    sys.setswitchinterval(0.0005)  # seconds; the model's thread needs Python for a moment between any two operations
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    first, *others = flags.model
    budget = round(flags.memory * 1e9)
    engine = get_engine(lambda: Engine(first, flags.device, flags.dtype, models=others, memory_budget=budget))
    owner = Owner(local=not flags.share)  # whoever comes through the public link seems to be on this machine
    demo = build_app(engine, owner=owner, adding=flags.add_models)
    where = {"server_name": flags.host, "server_port": flags.port, "share": flags.share}
    demo.launch(**where, mcp_server=flags.mcp, prevent_thread_lock=True, **launch_options())
    print(f"* Owner: {'' if flags.share else 'on this machine, or '}with ?owner={owner.key} behind the address")
    if not flags.no_preload:  # only now: the page answers while torch is still being imported
        threading.Thread(target=preload, args=(engine,), name="preload", daemon=True).start()
    try:
        demo.block_thread()
    finally:
        engine.close()


if __name__ == "__main__":
    main()
