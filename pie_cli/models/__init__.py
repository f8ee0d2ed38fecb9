"""PIE and the autoencoders beside it, each with its configuration."""
