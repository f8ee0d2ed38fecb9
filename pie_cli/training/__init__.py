"""One training loop for every model, put together from parts."""
