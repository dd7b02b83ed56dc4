# What was prepared of each data set, and whether its files have changed since.

from functools import cache

from shadowmill.data.listing import Content, Names, folder_of, plan


def record_of(dataset):
    """What is known of a prepared data set. In another folder than that, which may be deleted."""
    return f"results/.prepared/{dataset}.json"


# Not in jobs on a cluster: with a checkpoint, each would plan all that comes before it.
PREPARED = [
    name
    for name in CONFIG.datasets
    if workflow.is_main_process
    and (exists(record_of(name)) or exists(f"results/data/{name}.h5"))
]


@cache
def listing_of_set(dataset):
    """Another value if the files of a data set are not those that were prepared."""
    with mistakes_while_planning():
        entry = CONFIG.datasets[dataset]
        planned = plan(entry, folder_of(entry, config["data"]), record_of(dataset))
    if planned.note:
        logger.warning(planned.note)
    return planned.value


def examples_of_set(dataset):
    """Digest of the examples of a data set."""
    return Content(record_of(dataset))


def names_of(wildcards):
    """Digest of what examples are called: other names give other tables and figures."""
    return Names(record_of(wildcards.dataset))


def examples_of(wildcards):
    """Digest of the examples that a job works with: other examples give other results."""
    return examples_of_set(wildcards.dataset)
