"""The experiment grid: from the settings of ``workflow_config.yaml`` to names of files and back.

Snakemake imports this while it parses, in every job: nothing heavy may be imported here.
"""

from shadowmill.config.study import Cell, Config, Study, Variant
from shadowmill.config.validation import load

__all__ = ["Cell", "Config", "Study", "Variant", "load"]
