"""What a run trains, and how: its settings, recipes and name."""
