"""This project against what one would otherwise write: `python -m bench` writes bench/RESULTS.md."""
