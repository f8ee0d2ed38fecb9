"""This project against the code that you would otherwise write: `python -m bench` writes bench/RESULTS.md."""
