"""Compiled inner loops of the chance to return. Imports numba: import lazily."""

from math import exp, log, pi, sinh, sqrt
from typing import no_type_check

from core.work.compiled import compiled

STEP, STEPS = 0.3, 24
"""Of the trapezoid rule over v, where x = sinh(v) times a scale."""
_ROUNDS, _AT_ONCE = 100, 16
NEVER = -60.0
"""A chance whose upper bound has a logarithm below this is given as 0."""


# The tests' shape checker would wrap the functions that numba must compile: no_type_check stops it.
@compiled
@no_type_check
def chances(squares, values, t, out):
    """Write the chance of a cosine over t > 0 for each direction; `core.stability.chance` has the formula.

    squares (direction, axis): squared coordinates of directions of length 1 on the eigenvectors of C. values (axis,):
    the eigenvalues of C, of which none is negative.
    """
    d = len(values)
    c = t * t * values
    for i in range(len(squares)):
        b = squares[i] * values
        within, total = 0.0, 0.0
        for k in range(d):
            total += b[k]
            if values[k] > 0:
                within += squares[i, k]
        if within <= t * t or total <= 0:
            out[i] = 0.0
            continue
        mu = positive_eigenvalue(b, c, total)
        out[i] = integral(b, c, mu)


@compiled
@no_type_check
def positive_eigenvalue(b, c, total):
    """Solve the sum of b / (mu + c) = 1 by Newton's method on 1 / sum, which is nearly straight."""
    mu = total
    for _ in range(_ROUNDS):
        g, slope = 0.0, 0.0
        for k in range(len(b)):
            part = 1 / (mu + c[k])
            g += b[k] * part
            slope += b[k] * part * part
        new = mu - (1 / g - 1) * g * g / slope
        if new <= 0:
            new = mu / 16
        moved = abs(new - mu)
        mu = new
        if moved <= 1e-14 * mu:
            break
    return mu


@compiled
@no_type_check
def integral(b, c, mu):
    """Sum the integrand over x from 0 until nothing is added."""
    first = log_integrand(b, c, mu, 0.0)
    if first < NEVER:
        return 0.0
    fall = 1.0
    for k in range(len(c)):
        fall += c[k] / (mu + c[k])
    scale, total = 1 / sqrt(fall), 0.5 * exp(first)
    for n in range(1, STEPS):
        x = scale * sinh(n * STEP)
        added = exp(log_integrand(b, c, mu, x)) / (1 + x * x) * sqrt(1 + (x / scale) ** 2)
        total += added
        if added < 1e-13 * total:
            break
    return total * STEP * scale / pi


@compiled
@no_type_check
def log_integrand(b, c, mu, x):
    """Return -1/2 of the log of the product of 1 + nu (1 + x^2) / mu over the negative eigenvalues -nu."""
    tau, inner, logs, d = (1 + x * x) / mu, 0.0, 0.0, len(b)
    for start in range(0, d, _AT_ONCE):
        product = 1.0
        for k in range(start, min(start + _AT_ONCE, d)):
            factor = 1 + tau * c[k]
            inner += b[k] / (factor * (mu + c[k]))
            product *= factor
        logs += log(product)
    return -0.5 * (logs + log(inner))
