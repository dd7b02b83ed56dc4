"""Print where results are, and the main numbers: print_summary.py STUDY [STUDY ...]."""

import sys
from pathlib import Path

from shadowmill.errors import ShadowmillError
from shadowmill.jobs import explain
from shadowmill.tables import imported, reconstruction, summary
from shadowmill.tables.privacy_audit import exceeded_claims

folders = [Path("results") / study for study in sys.argv[1:]]
try:
    for folder in folders:
        tables = folder / "tables"
        if (tables / "reconstruction.csv").exists():
            text = reconstruction.summarise(f"{tables}/reconstruction.csv")
        else:
            text = summary.summarise(
                f"{tables}/training_results.csv", f"{tables}/membership_metrics.csv"
            )
            if (tables / "imported.csv").exists():
                text = "\n".join([text, *imported.remarks(f"{tables}/imported.csv")])
            if (tables / "privacy_audit.csv").exists():
                text = "\n".join([text, *exceeded_claims(f"{tables}/privacy_audit.csv")])
        print(f"\n{folder.name}: {text}")
    print("\nreport   results/report.html")
    for folder in folders:
        print(f"figures  {folder}/figures/\ntables   {folder}/tables/", flush=True)
except (ShadowmillError, OSError) as error:
    sys.exit(f"shadowmill: {explain(error)[0]}")
