"""Rule plot_privacy_audit."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.figures.privacy_audit import plot

    plot(snakemake.input.audit, snakemake.output)
