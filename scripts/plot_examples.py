"""Rule plot_examples."""

from shadowmill.jobs import job

with job(snakemake.log[0]):
    from shadowmill.config import Cell
    from shadowmill.figures.examples import plot

    plot(
        Cell(**snakemake.params.cell),
        data_path=snakemake.input.data,
        score_paths=snakemake.input.scores,
        examples_path=snakemake.input.examples,
        outputs=snakemake.output,
    )
