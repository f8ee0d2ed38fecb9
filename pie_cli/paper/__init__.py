"""The paper as a whole: every run that it needs, its figures and tables, and the verdict on each claim."""
