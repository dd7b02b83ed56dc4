"""Statistics of every model on every example of the pool: what attacks read."""

# Part of the parameters of the scoring rule, like TRAINING_VERSION of the training rules.
SCORES_VERSION = 4
