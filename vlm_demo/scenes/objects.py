"""What stands where in a scene."""

from dataclasses import dataclass
from functools import cached_property

from .glyphs import extent


@dataclass(frozen=True)
class SceneObject:
    """One icon: what it is, its colour, and where (centre and size as shares of the image's side)."""

    label: str
    color: str
    cx: float
    cy: float
    size: float
    angle: float  # radians
    mirror: bool
    jitter: tuple[float, float, float]  # small shifts of hue, saturation and value

    @cached_property
    def bbox(self) -> tuple[float, float, float, float]:
        """(x, y, w, h), top-left corner and size, 0 to 1, of the icon with its outline."""
        left, top, right, bottom = extent(self.label, self.angle, self.mirror)
        return (
            self.cx + left * self.size,
            self.cy + top * self.size,
            (right - left) * self.size,
            (bottom - top) * self.size,
        )

    @property
    def center(self) -> tuple[float, float]:
        """Centre of the box."""
        x, y, w, h = self.bbox
        return x + w / 2, y + h / 2

    @property
    def area(self) -> float:
        """Area of the box as a share of the image."""
        return self.bbox[2] * self.bbox[3]

    @property
    def name(self) -> str:
        """Colour and label, such as `red cat`."""
        return f"{self.color} {self.label}"


@dataclass(frozen=True)
class Layout:
    """A setting with its objects; the seed decides what is left to chance in drawing and asking."""

    seed: int
    setting: str
    items: tuple[SceneObject, ...]

    @cached_property
    def objects(self) -> list[SceneObject]:
        """The objects from left to right (by the centre of the box)."""
        return sorted(self.items, key=lambda item: item.center)
