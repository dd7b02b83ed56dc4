# Sourced by every Slurm job before anything else (`precommand` in config.yaml).
#
# In a job array, the Slurm plugin (2.8.0) starts each task with the command of the array's first
# task, whose Snakemake then runs the task's own command and afterwards looks for the outputs of the
# first task. A task that ends well before the first one is so marked as failed, and the unfinished
# outputs of the first one are deleted. So run the task's own command, and nothing around it. It is
# in the batch script, which is $0 here. Where it is not found, the plugin's way is left as it is.
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ] && [ -z "${SHADOWMILL_ARRAY_TASK:-}" ]; then
    own_command=$(python3 - "$0" "$SLURM_ARRAY_TASK_ID" <<'PYTHON'
import base64
import json
import re
import sys
import zlib

script, task = sys.argv[1:]
option = re.compile(r"--slurm-jobstep-array-execs[=\s]+['\"]*([A-Za-z0-9+/=]+)")
with open(script, encoding="utf-8") as file:
    found = option.search(file.read())
commands = json.loads(base64.b64decode(found[1])) if found else {}
if task in commands:  # the first task of an array is not: it runs the batch script itself
    print(zlib.decompress(bytes.fromhex(commands[task])).decode())
PYTHON
    ) || own_command=
    if [ -n "$own_command" ]; then
        export SHADOWMILL_ARRAY_TASK="$SLURM_ARRAY_TASK_ID"
        exec sh -c "$own_command"
    fi
fi
