"""Training of many models in lock-step."""

# Part of the parameters of the training rules. Raise it when a change of the code changes the
# models that a setting leads to; other edits (comments, speed, refactoring) retrain nothing.
TRAINING_VERSION = 1
