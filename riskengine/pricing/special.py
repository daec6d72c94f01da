"""SciPy's functions, loaded with the first option that is valued: a process without options starts half a second sooner.

The names and meanings are SciPy's, element by element over arrays of doubles. Pure; any thread.
"""

from typing import Any


def ndtr(x: Any) -> Any:
    """The standard normal distribution function."""
    from scipy.special import ndtr as of_scipy

    return of_scipy(x)


def ndtri(x: Any) -> Any:
    """The inverse of `ndtr`."""
    from scipy.special import ndtri as of_scipy

    return of_scipy(x)


def log_ndtr(x: Any) -> Any:
    """The logarithm of `ndtr`, exact where that is too small for a double."""
    from scipy.special import log_ndtr as of_scipy

    return of_scipy(x)


def erfcx(x: Any) -> Any:
    """The scaled complementary error function, `exp(x**2) erfc(x)`."""
    from scipy.special import erfcx as of_scipy

    return of_scipy(x)


def find_root(function: Any, bracket: Any, **keywords: Any) -> Any:
    """Roots of a function in brackets, by Chandrupatla's method. See `scipy.optimize.elementwise.find_root`."""
    from scipy.optimize.elementwise import find_root as of_scipy

    return of_scipy(function, bracket, **keywords)
