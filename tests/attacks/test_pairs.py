"""Audits by pairs: who is audited with whom, what is counted, and that the answer is valid."""

import math

import numpy as np
import pytest
from banks import score_bank
from halves import halves
from scipy.stats import norm

from shadowmill.attacks import lira, pairs
from shadowmill.metrics.epsilon import gdp_is_refused, one_run_p
from shadowmill.roles import MEMBER, NON_MEMBER, VALIDATION
from shadowmill.roles.splits import target_half


def bank_of(roles_MN, seed=0, shift=2.0):
    phi = np.random.default_rng(seed).normal(size=(*roles_MN.shape, 1))
    phi += shift * (roles_MN == MEMBER)[..., None]
    names = [f"model-{seed}-{k}" for k in range(len(roles_MN))]
    return score_bank(phi, roles_MN == MEMBER, roles_MN == NON_MEMBER, names)


def targets_of(count, num_examples, **of):
    return bank_of(np.stack([target_half(s, num_examples, 1) for s in range(count)]), 1, **of)


def test_pairs_are_a_matching():
    drawn = pairs.draw_pairs(101)
    assert drawn.shape == (50, 2)
    assert len(np.unique(drawn)) == 100
    assert not np.array_equal(np.sort(drawn.ravel()), drawn.ravel())


def test_guesses_by_hand(monkeypatch):
    monkeypatch.setattr(pairs, "GUESSES", 3)
    member = np.array([1, 0, 0, 1, 1, 1, 0, 1, 0, 0, 1, 0], dtype=bool)
    nonmember = ~member
    nonmember[11] = False  # the last pair is of a member and a validation example
    score = np.array([5.0, 1, 2, 2, 9, 9, 3, 2, 0, 7, 9, 0])
    # Right by 4, equal, both members, wrong by 1, both non-members, does not count.
    of = np.arange(12).reshape(6, 2)
    assert pairs.guess(score, member, nonmember, of) == (3, 3, 1)
    monkeypatch.setattr(pairs, "GUESSES", 2)
    assert pairs.guess(score, member, nonmember, of) == (3, 2, 1)
    monkeypatch.setattr(pairs, "GUESSES", 1)
    assert pairs.guess(score, member, nonmember, of) == (3, 1, 1)
    # To name the pairs the other way round changes nothing.
    assert pairs.guess(score, member, nonmember, of[:, ::-1]) == (3, 1, 1)


def test_half_of_the_pairs_of_shadows_are_references_for_the_other_half():
    shadows, targets = bank_of(halves(12, 200, seed=0)), targets_of(2, 200)
    found = pairs.audit(targets, shadows, own=True)
    references, audited = shadows.select(range(6, 12)), shadows.select([0, 2, 4])
    drawn = pairs.draw_pairs(200)
    expected = np.zeros(3, dtype=int)
    for bank in (targets, audited):
        for score_N, member_N in zip(
            lira(references, bank, "bayes_t"), bank.member_MN, strict=True
        ):
            expected += pairs.guess(score_N, member_N, ~member_N, drawn)
    assert found == (5, *expected)
    assert found.guesses == 5 * pairs.GUESSES


@pytest.mark.parametrize(("num_shadows", "own"), [(12, False), (4, True)])
def test_other_shadows_and_few_shadows_are_references_alone(num_shadows, own):
    shadows, targets = bank_of(halves(num_shadows, 200, seed=0)), targets_of(2, 200)
    found = pairs.audit(targets, shadows, own=own)
    score_TN = lira(shadows, targets, "bayes_t")
    drawn = pairs.draw_pairs(200)
    expected = np.sum(
        [
            pairs.guess(score_N, member_N, ~member_N, drawn)
            for score_N, member_N in zip(score_TN, targets.member_MN, strict=True)
        ],
        axis=0,
    )
    assert found == (2, *expected)


def test_what_a_complement_validates_on_does_not_count():
    """Else such an example would count where it is a member, and not where it is none."""
    roles_MN = halves(12, 200, seed=0)
    targets = targets_of(1, 200)
    whole = pairs.audit(targets, bank_of(roles_MN), own=True)
    held_out = np.flatnonzero(roles_MN[1] == NON_MEMBER)  # members of model 0, which is audited
    roles_MN[1, held_out] = VALIDATION
    assert pairs.audit(targets, bank_of(roles_MN), own=True).coins < whole.coins
    # Of a complement that holds none as non-members no member is left, nor any pair.
    alone = pairs.audit(targets, bank_of(roles_MN).select(range(6, 12)), own=False)
    others = [pairs.draw_pairs(200)] * 2
    count = sum(np.sum(roles_MN[m][others[0]] == MEMBER, axis=1).tolist().count(1) for m in (2, 4))
    assert pairs.audit(targets, bank_of(roles_MN), own=True).coins == alone.coins + count


def test_references_that_all_validate_on_an_example_do_not_suffice():
    roles_MN = halves(8, 200, seed=0)
    targets = targets_of(2, 200)
    assert pairs.audit(targets, bank_of(roles_MN), own=True).runs == 4
    # The pairs that are references: nobody is left who never saw example 3.
    roles_MN[4:, 3] = np.where(roles_MN[4:, 3] == NON_MEMBER, VALIDATION, MEMBER)
    found = pairs.audit(targets, bank_of(roles_MN), own=True)
    assert found == pairs.audit(targets, bank_of(roles_MN), own=False)
    assert found.runs == 2


def tally(score_of, rng, num_examples, drawn):
    member_N = np.zeros(num_examples, dtype=bool)
    member_N[rng.permutation(num_examples)[: num_examples // 2]] = True
    return pairs.guess(score_of(member_N), member_N, ~member_N, drawn)


@pytest.mark.long
def test_the_true_epsilon_of_randomised_response_is_seldom_refused():
    """Each role is told, and told wrong with probability 1 / (1 + e); two are in a pair."""
    rng, drawn, epsilon, refused, seen = np.random.default_rng(0), pairs.draw_pairs(400), 1.0, 0, 0
    for _ in range(400):
        counts = tally(
            lambda member_N: (
                (member_N ^ (rng.random(len(member_N)) < 1 / (1 + math.exp(epsilon)))).astype(float)
                + 1e-9 * rng.random(len(member_N))
            ),
            rng,
            400,
            drawn,
        )
        refused += one_run_p(*counts, 2 * epsilon, 0) <= 0.05
        seen += one_run_p(*counts, 0.3 * epsilon, 0) <= 0.05
    assert refused <= 0.05 * 400 + 1.7 * math.sqrt(400 * 0.05 * 0.95)
    assert seen > 200


@pytest.mark.long
@pytest.mark.parametrize("sigma", [0.5, 1.5])
def test_the_true_privacy_of_a_gaussian_step_is_seldom_refused(sigma):
    """Each example has a coordinate of its own in a noisy sum; two change, so Δ = √2."""
    rng, drawn, mu = np.random.default_rng(1), pairs.draw_pairs(400), math.sqrt(2) / sigma
    epsilon = 1.2 * mu
    delta = norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
    refused = gaussian = seen = 0
    for _ in range(400):
        counts = tally(lambda member_N: member_N + rng.normal(0, sigma, 400), rng, 400, drawn)
        refused += one_run_p(*counts, epsilon, delta) <= 0.05
        gaussian += gdp_is_refused(*counts, mu)
        seen += gdp_is_refused(*counts, mu / 10)
    most = 0.05 * 400 + 1.7 * math.sqrt(400 * 0.05 * 0.95)
    assert refused <= most
    assert gaussian <= most
    assert seen > 200


@pytest.mark.long
def test_an_audit_of_models_that_tell_nothing_is_seldom_significant():
    small = 0
    for seed in range(60):
        shadows = bank_of(halves(8, 200, seed=seed), seed, shift=0.0)
        counts = pairs.audit(targets_of(2, 200, shift=0.0), shadows, own=True)[1:]
        small += one_run_p(*counts, 0.0, 0.0) <= 0.05
    assert small <= 8
