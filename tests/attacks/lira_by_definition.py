"""LiRA one target, example and query at a time."""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma
from scipy.stats import norm
from scipy.stats import t as student


def slow_bayes(samples, centre, mode):
    """The density of each example; that of a new φ is proportional to its conjugate integral."""
    size = np.array([len(s) for s in samples])
    sum_squares = np.array([((s - s.mean()) ** 2).sum() for s in samples])
    freedom = (size - 1)[size > 1]
    variance = sum_squares[size > 1] / freedom
    e = np.log(variance) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = e.var(ddof=1) - polygamma(1, freedom / 2).mean()
    if excess <= 0:
        s0 = (variance * freedom).sum() / freedom.sum()
        more = size if mode == "bayes_t" else np.inf
        return [
            norm(centre(s), np.sqrt(s0 * (1 + one)))
            for s, one in zip(samples, np.broadcast_to(1 / more, size.shape), strict=True)
        ]
    d0 = 2 * brentq(lambda y: polygamma(1, y) - excess, 1e-6, 1e9, xtol=1e-13, rtol=1e-14)
    s0 = np.exp(e.mean() + digamma(d0 / 2) - np.log(d0 / 2))
    found = []
    for s, n, ss in zip(samples, size, sum_squares, strict=True):
        nu = d0 + n - 1
        if mode == "bayes_n":
            found.append(norm(centre(s), np.sqrt((d0 * s0 + ss) / (d0 + n))))
        else:
            found.append(student(nu, centre(s), np.sqrt((d0 * s0 + ss) / nu * (1 + 1 / n))))
    return found


def slow_lira(bank, phi_TNA, mode, location):
    """One target, example and query at a time, straight from the definitions."""
    phi_MNA = bank.phi_MNA.astype(np.float64)
    num_targets, num_examples, num_queries = phi_TNA.shape
    raw_in_sigma = np.std([phi for a in range(num_queries) for phi in phi_MNA[bank.member_MN, a]])
    score_TNA = np.empty(phi_TNA.shape)
    for a in range(num_queries):
        sides = []
        for side_MN in (bank.member_MN, bank.nonmember_MN):
            samples = [phi_MNA[side_MN[:, n], n, a] for n in range(num_examples)]
            pooled = sum(((s - s.mean()) ** 2).sum() for s in samples)
            pooled /= sum(len(s) - 1 for s in samples)
            common = {"fixed": math.sqrt(pooled), "code2021": raw_in_sigma}
            centre = np.mean if location == "mean" else np.median
            if mode.startswith("bayes"):
                sides.append(slow_bayes(samples, centre, mode))
                continue
            sides.append([norm(centre(s), max(common.get(mode, s.std()), 1e-6)) for s in samples])
        for t, n in np.ndindex(num_targets, num_examples):
            into, out = (side[n] for side in sides)
            phi = float(phi_TNA[t, n, a])
            if mode == "offline":
                score_TNA[t, n, a] = out.logcdf(phi)
            elif mode == "two_sided_code":
                score_TNA[t, n, a] = -out.logpdf(phi)
            else:
                score_TNA[t, n, a] = into.logpdf(phi) - out.logpdf(phi)
    return score_TNA.mean(axis=2)
