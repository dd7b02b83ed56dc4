"""Run by Python itself at its start, where this folder is on its path: in jobs, and with make.

Ctrl-C ends the program at once and silently, whatever it is importing. Training and Snakemake
replace this by handlers of their own, which save what there is.
"""

import _signal  # what is below the module signal, whose import takes long enough to be hit

_signal.signal(_signal.SIGINT, _signal.SIG_DFL)
