"""What others trained: finished models brought in, and lists of what they were trained on.

All ends in files of this workflow: a model file for each imported model. `states` finds the weights
in what a training script saved; `fitting` gives them the names of a network; `model` puts both
together and refuses what cannot be right. Nothing foreign is written to or moved.
"""

MODEL_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
"""Ends of the names of files of weights."""

IMPORTS_VERSION = 1
"""Increase when the same files make other models; what is imported is then imported again."""
