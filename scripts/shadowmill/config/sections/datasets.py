"""Section `datasets`: data of the user's own, and the sizes of images."""

from typing import Annotated

from pydantic import Field

from shadowmill.config.sections.fields import Different, NotEmpty, PathText, Section, Whole

PixelSize = Annotated[Whole, Field(ge=8, le=1024)]


class OwnDataset(Section):
    """Data of your own: exactly one of `images`, `table` and `arrays`, and what goes with it."""

    images: PathText = None
    """Folder of images: train/CLASS/… and, if there is one, test/CLASS/… or val/CLASS/…"""
    size: PixelSize = None
    """Pixels a side to which the images are scaled (images)."""
    table: PathText = None
    """CSV or Parquet file with one row for each example."""
    label: str = None
    """Column of the label (table)."""
    test: str = None
    """Another file of the same columns with the test examples, or a column that is true or 1 for
    them (table)."""
    id: str = None
    """Column by which examples are named in results (table); images are named by their files."""
    ignore: Annotated[list[str], NotEmpty, Different] = None
    """Columns that are no features (table)."""
    arrays: PathText = None
    """.npz or HDF5 file of `inputs` and `labels`, and perhaps `is_test`, `class_names`, `ids` and
    `groups`."""
    group: str = None
    """What tells which examples belong together, such as those of one person: a column (table), or
    a regular expression that finds it in the path of an image below the folder of its class, such
    as `^p(\\\\d+)` (images). Groups are members as a whole."""
