"""Rule plot_examples."""

from shadowmill.figures.examples import plot
from shadowmill.jobs import job
from shadowmill.names import Cell

with job(snakemake.log[0]):
    plot(
        Cell(**snakemake.params.cell),
        data_path=snakemake.input.data,
        score_paths=snakemake.input.scores,
        examples_path=snakemake.input.examples,
        outputs=snakemake.output,
    )
