"""Metrics of attacks: ranking quality, intervals, and the bootstrap over models and examples."""
