"""Variants that are not options of the program: the word "+name" stands for the change of that name.

A change takes an experiment and returns another, so several words can be combined. A variant that lost is kept only
here, so that its row can be measured again.
"""

from studies.changes import models, networks, training
from studies.changes.experiment import Change


def named(name: str) -> Change:
    """Return the change of a name. Raises KeyError if there is none."""
    change: Change = {**vars(models), **vars(networks), **vars(training)}[name]
    return change
