"""What the page uses of gradio that gradio promises to nobody, all of it; as it is in the version below.

`tests/test_private.py` says what has changed when another one is installed.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components.annotated_image import AnnotatedImageData, Annotation
from gradio.data_classes import FileData, ImageData, ListFiles
from gradio.processing_utils import save_bytes_to_cache, save_pil_to_cache
from gradio.route_utils import get_root_url
from gradio.utils import get_upload_folder
from gradio_client.utils import is_http_url_like

VERSION = "6.31"
UPLOAD = "/gradio_api/upload"  # the route whose answer is a JSON list of the paths that it has written
INFO = "/gradio_api/info"  # the route that describes the endpoints, each with `parameters` and `code_snippets`
FILE_TYPE = "gradio.FileData"  # by which clients mark a file that they have uploaded

# Methods that our classes override, with the parameters that ours rely on, and who does so.
OVERRIDDEN: tuple[tuple[Any, str, tuple[str, ...], str], ...] = (
    (gr.Blocks, "process_api", ("block_fn", "inputs", "session_hash", "iterator"), "privacy.ForgetfulBlocks"),
    (gr.Image, "async_move_resource_to_block_cache", ("url_or_file_path",), "pictures.Picture"),
    (gr.File, "async_move_resource_to_block_cache", ("url_or_file_path",), "pictures.PictureFiles"),
    (gr.Image, "preprocess", ("payload",), "pictures.Picture"),
    (gr.File, "preprocess", ("payload",), "pictures.PictureFiles"),
    (gr.Image, "example_payload", (), "pictures.Picture"),
    (gr.File, "example_payload", (), "pictures.PictureFiles"),
    (gr.AnnotatedImage, "postprocess", ("value",), "hover.HoverImage"),
)

__all__ = [
    "FILE_TYPE",
    "INFO",
    "OVERRIDDEN",
    "UPLOAD",
    "VERSION",
    "AnnotatedImageData",
    "Annotation",
    "FileData",
    "ImageData",
    "ListFiles",
    "get_root_url",
    "get_upload_folder",
    "is_http_url_like",
    "save_bytes_to_cache",
    "save_pil_to_cache",
]
