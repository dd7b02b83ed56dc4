"""Metrics of attacks: ranking quality, intervals, and the bootstrap over models and examples."""

from shadowmill.metrics.ranking import auc, tpr_at_fpr

__all__ = ["auc", "tpr_at_fpr"]
