"""Drawing: arrays in, figures and tables out."""
