"""What the process of Snakemake adds to Snakemake, for all profiles."""
