"""The sections of workflow_config.yaml: every key, its type, its range, its default, its meaning.

Nothing of this is written anywhere else. What one section cannot say of another (names that must
exist, numbers that must agree) is in `config.checks`.
"""
