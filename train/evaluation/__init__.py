"""What a model is worth: predictions, metrics, reports."""
