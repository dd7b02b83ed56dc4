"""Reconstruction of training data from heads: small classifiers on frozen deep features.

Versions of the code whose results take long to make: raise one when its results change, and they
are made again. Needs no torch, as Snakemake imports it while it parses.
"""

BACKBONES_VERSION = 2
HEADS_VERSION = 2
RECONSTRUCTOR_VERSION = 2
