"""Shadowmill: membership-inference audits of neural networks with many shadow models."""

__version__ = "0.1.0"
