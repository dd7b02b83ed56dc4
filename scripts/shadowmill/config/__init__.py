"""The experiment grid: from the settings of ``workflow_config.yaml`` to names of files and back.

Snakemake imports this while it parses, in every job: nothing heavy may be imported here.
"""

from shadowmill.config.study import Config, Study
from shadowmill.config.validation import load, require_free_names

__all__ = ["Config", "Study", "load", "require_free_names"]
