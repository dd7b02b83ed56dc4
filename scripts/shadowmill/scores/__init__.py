"""Statistics of every model on every example of the pool: what attacks read."""

# Part of the parameters of the scoring rule, like TRAINING_VERSION of the training rules.
SCORES_VERSION = 3

# Each is an array `curvature_…` of score files that ask for it.
CURVATURE_ESTIMATORS = ("finite_difference", "trace", "frobenius")
