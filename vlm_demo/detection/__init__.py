"""What a model says about objects, as boxes: reading its text and exporting; `drawing` draws them."""

from vlm_demo.detection.export import pixels, to_coco, to_csv, to_json, to_yolo
from vlm_demo.detection.matching import iou, match
from vlm_demo.detection.reading import Parsed, Report, parse, parse_written

__all__ = [
    "Parsed",
    "Report",
    "iou",
    "match",
    "parse",
    "parse_written",
    "pixels",
    "to_coco",
    "to_csv",
    "to_json",
    "to_yolo",
]
