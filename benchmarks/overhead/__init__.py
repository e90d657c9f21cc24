"""What the platform adds to each dataset, beside snakemake, cwltool and bare xargs."""
