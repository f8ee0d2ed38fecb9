"""Run folders: what one holds, and which one is meant."""
