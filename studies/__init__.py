"""Experiments that decide the defaults: each has one module and one table, shown in docs/EXPERIMENTS.md."""
