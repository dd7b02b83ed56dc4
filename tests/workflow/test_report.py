"""The report of a finished study."""

import json
import re


def test_every_table_and_figure_is_shown_with_a_caption_of_text(finished):
    finished.snakemake("--profile", "profiles/local", "--report", "report.html", "--", "small")
    page = (finished.folder / "report.html").read_text()
    captions = [json.loads(text) for text in re.findall(r'"caption": ("(?:[^"\\]|\\.)*")', page)]
    shown = [*finished.results.glob("small/tables/*.csv"), *finished.results.rglob("figures/*.png")]
    assert len(captions) == len(shown) > 15
    assert all(re.fullmatch(r"\s*(<p>[^<>]+</p>\s*)+", caption) for caption in captions), captions
