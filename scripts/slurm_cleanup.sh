#!/usr/bin/env bash
# After a lost driver (the login node rebooted, `kill -9`): its Slurm jobs live on and the working
# directory stays locked. Cancel the jobs, unlock, and the next `snakemake --profile slurm`
# continues from what is finished. Harmless when there is nothing to do.
#
#   scripts/slurm_cleanup.sh [options for snakemake, such as --configfile …]
#
# Do not use it while a driver is at work in this checkout: it takes the jobs away from it.
set -euo pipefail

readonly prefix=shadowmill_ # "slurm-jobname-prefix" of profiles/slurm and the plugin's underscore

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Slurm may know the checkout by a path through a link or without it.
readonly logical=$PWD
physical=$(pwd -P)
readonly physical

# One line a job or array task, pending tasks included (--array).
our_jobs() {
    local id name directory
    squeue --noheader --array --user="$(id -un)" --format='%i|%j|%Z' |
        while IFS='|' read -r id name directory; do
            if [[ $name == "$prefix"* && ($directory == "$logical" || $directory == "$physical") ]]
            then
                printf '%s\n' "$id"
            fi
        done
}

if command -v squeue >/dev/null; then
    if ! jobs=$(our_jobs); then
        echo "Slurm does not answer: nothing was cancelled, and the lock is left alone." >&2
        exit 1
    fi
    if [[ -n $jobs ]]; then
        sed 's/^/Cancelling Slurm job /' <<<"$jobs"
        # In portions: there may be a thousand.
        xargs -n 100 scancel <<<"$jobs"
        # A job may use its grace period for a checkpoint; a rerun must not write beside it.
        printf 'Waiting for them to end'
        while [[ -n $(our_jobs) ]]; do
            printf '.'
            sleep 2
        done
        echo
    else
        echo "No Slurm jobs of this checkout."
    fi
fi

snakemake=snakemake
if [[ -x .venv/bin/snakemake ]]; then snakemake=.venv/bin/snakemake; fi
"$snakemake" --cores 1 --unlock "$@"
