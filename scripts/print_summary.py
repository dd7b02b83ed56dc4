"""Print where the results of a study are, and its main numbers: print_summary.py STUDY."""

import sys
from pathlib import Path

from shadowmill.errors import ShadowmillError
from shadowmill.tables.summary import summarise

study = sys.argv[1]
folder = Path("results") / study
try:
    summary = summarise(
        f"{folder}/tables/training_results.csv", f"{folder}/tables/membership_metrics.csv"
    )
except ShadowmillError as error:
    sys.exit(f"shadowmill: {error}")
print(f"\n{study}: {summary}\n\nreport   results/report.html\nfigures  {folder}/figures/")
print(f"tables   {folder}/tables/")
