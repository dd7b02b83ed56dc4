"""What is filled in, once and for all studies, and what is left alone."""


def test_defaults_are_filled_into_the_raw_configuration(raw, read):
    read(raw)
    assert raw["keep_models"] is True
    assert raw["data"] == {"root": "data", "roots": {}, "sizes": {}}
    assert raw["datasets"] == {}
    assert raw["execution"] == {
        "device": "auto",
        "stacking": "auto",
        "compile": "none",
        "checkpoint_minutes": 5,
    }
    assert raw["recipes"]["short"] == {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0,
        "epochs": 8,
        "batch_size": 32,
        "label_smoothing": 0,
        "schedule": {"name": "multistep", "milestones": [4, 6], "gamma": 0.1},
        "augmentation": {"crop": 0, "padding": "zero", "flip": False, "cutout": 0},
    }


def test_defaults_of_a_study(raw, read):
    given = raw["studies"]["other"].copy()
    read(raw)
    assert raw["studies"]["other"] == given | {
        "description": "",
        "protocol": "half",
        "validation": 0,
        "seed": 0,
        "adversaries": ["adaptive"],
        "imports": {},
        "unhealthy_shadows": "keep",
        "pruning": {},
        "defenses": {
            "adversarial": {"attack_steps": 1},
            "dp_sgd": {"strength": "epsilon", "delta": 1e-5, "max_grad_norm": 1.0},
        },
        "queries": {"mirror": False, "shift": 0},
        "curvature": {"probes": 10, "step": 1e-3},
    }


def test_what_has_no_default_stays_away(study):
    other = study("other")
    assert other.fine_tune is None
    assert other.subsets is None
    assert study("prefixes").subsets == {"sizes": [100, 900]}


def test_recipes_are_put_in_the_place_of_their_names(study, raw):
    apart = study("apart")
    assert apart.recipe == raw["recipes"]["stopped"]
    assert apart.fine_tune == raw["recipes"]["cycle"]


def test_defaults_are_not_shared(raw, read):
    read(raw)
    recipes = raw["recipes"]
    assert recipes["short"]["augmentation"] is not recipes["cycle"]["augmentation"]
    main, other = raw["studies"]["main"], raw["studies"]["other"]
    assert main["queries"] is not other["queries"]
    assert main["defenses"]["dp_sgd"] is not other["defenses"]["dp_sgd"]


def test_given_values_are_not_overwritten_by_defaults(raw, read):
    raw |= {"keep_models": False, "data": {"roots": {"cifar10": "/data/cifar"}}}
    raw["recipes"]["short"] |= {"momentum": 0, "augmentation": {"crop": 4, "padding": "reflect"}}
    raw["studies"]["main"]["defenses"] = {"adversarial": {"attack_steps": 3}}
    config = read(raw)
    assert config.keep_models is False
    assert raw["data"] == {"root": "data", "roots": {"cifar10": "/data/cifar"}, "sizes": {}}
    main = config.studies["main"]
    assert main.recipe["momentum"] == 0
    assert main.recipe["augmentation"] == {
        "crop": 4,
        "padding": "reflect",
        "flip": False,
        "cutout": 0,
    }
    assert main.defenses["adversarial"] == {"attack_steps": 3}
    assert main.defenses["dp_sgd"]["strength"] == "epsilon"


def test_a_second_reading_changes_nothing(raw, read):
    # Snakemake hands the filled-in configuration on to its jobs, which read it again.
    once = read(raw)
    assert read(raw) == once
