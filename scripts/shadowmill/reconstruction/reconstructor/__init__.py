"""Reconstructors: networks that draw a training example from the weights of a head."""
