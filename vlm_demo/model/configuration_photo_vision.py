"""Configuration of the vision tower for photographs: a classifier and a detector that look at the same pixels."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


@strict
class PhotoVisionConfig(PreTrainedConfig):
    """
    Args:
        image_size: Side of the square that an image is resized to, in pixels.
        grid_size: Side of the grid of patch features.
        num_regions: Regions that the detector proposes, as features behind those of the grid.
        num_labels: Classes of the detector.
        fourier_frequencies: Frequencies that tell each side of a region's box, see `modeling_photo_vision.py`.
    """

    model_type = "photo_vision"

    image_size: int = 300
    grid_size: int = 7
    num_regions: int = 20
    num_labels: int = 80
    fourier_frequencies: int = 8

    @property
    def seq_length(self) -> int:
        """Features of an image: the grid's, then the regions'."""
        return self.grid_size**2 + self.num_regions

    @property
    def map_sizes(self) -> tuple[int, int, int, int]:
        """Channels of the four feature maps: classifier at stride 32 and 16, detector at stride 32 and 16."""
        return 320, 112, 1280, 576

    @property
    def hidden_size(self) -> int:
        """Channels of a feature: the maps', class scores, box and its Fourier features, and whether it is a region."""
        return sum(self.map_sizes) + self.num_labels + 4 + 8 * self.fourier_frequencies + 1


__all__ = ["PhotoVisionConfig"]
