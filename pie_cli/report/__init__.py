"""The figures of section 5.1, each from one trained run."""
