"""Rule plot_examples."""

from shadowmill.jobs import job

with job(snakemake.log[0], snakemake.input):
    from shadowmill.figures.examples import plot
    from shadowmill.names import Cell

    plot(
        Cell(**snakemake.params.cell),
        data_path=snakemake.input.data,
        score_paths=snakemake.input.scores,
        examples_path=snakemake.input.examples,
        outputs=snakemake.output,
    )
