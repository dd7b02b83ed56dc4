"""Training of many models in lock-step."""

# Part of the parameters of the training rules. Raise it when a change of the code changes the
# models that a setting leads to; other edits (comments, speed, refactoring) retrain nothing.
TRAINING_VERSION = 2


def steps_per_epoch(epoch_size: int, batch_size: int) -> int:
    """Optimiser steps in an epoch: all batches are full, so the number is rounded."""
    return max(1, round(epoch_size / batch_size))
