"""What answers requests: a model in this process, or whatever else keeps to `base`."""
