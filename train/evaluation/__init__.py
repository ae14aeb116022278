"""Evaluation of models: predictions, metrics, reports."""
