"""Image sets by name, verified and split into training, validation and test."""
