"""Experiments that decide the defaults: one module and one table each, shown in docs/EXPERIMENTS.md."""
