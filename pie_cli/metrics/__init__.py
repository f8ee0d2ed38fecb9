"""Figures of merit, as plain functions of images, codes and models."""
