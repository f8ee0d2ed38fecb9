"""What is passed on of a run: a page that shows it."""
