"""summary.tex: the main numbers of a study, to be put into a paper."""

from shadowmill import storage
from shadowmill.tables.summary import NONE_NOTE, PPV_NOTE, headline


def tabulate(training_path: str, membership_path: str, output: str) -> None:
    r"""Write the headline as a LaTeX `tabular`; needs ``\usepackage{booktabs}``.

    Args:
        training_path: training_results.csv.
        membership_path: membership_metrics.csv.
        output: LaTeX file to write.
    """
    attack, table = headline(training_path, membership_path)
    text = table.to_latex(index=False, escape=True)
    note = f"% attack: {attack}; 95 % intervals in brackets; needs \\usepackage{{booktabs}}\n"
    note += f"% {PPV_NOTE}\n% {NONE_NOTE}\n"
    storage.write_text(output, note + text)
