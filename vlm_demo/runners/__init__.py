"""What writes tokens in this process: models, and the ways to compute them."""
