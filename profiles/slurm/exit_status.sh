# Sourced by every Slurm job before anything else (`precommand` in config.yaml): the batch shell, and not
# the steps within, leaves its exit status where profiles/slurm/bin/sacct looks for it. Without
# accounting Slurm forgets jobs minutes after their end, and a job that it lost before it began is
# forgotten at once.
if [ -n "${SLURM_JOB_ID:-}" ] && [ -z "${SLURM_STEP_ID:-}" ]; then
    trap 'status=$?
        mkdir -p .snakemake/shadowmill-slurm
        echo "$status" >".snakemake/shadowmill-slurm/ended-$SLURM_JOB_ID"' EXIT
fi
