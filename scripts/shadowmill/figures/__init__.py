"""Figures: each module draws one, as PNG and PDF, from tables and artefacts."""
