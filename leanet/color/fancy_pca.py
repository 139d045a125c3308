"""Fancy PCA (Krizhevsky, Sutskever & Hinton 2012, section 4.1): colours shifted along their own spread.

To each image the same quantity is added at every pixel, [p1 p2 p3] [α1 λ1, α2 λ2, α3 λ3]ᵀ, where p and
λ are eigenvectors and eigenvalues of the 3×3 covariance of RGB values in [0, 1], and the α are drawn
anew at each use from a normal distribution of mean 0. The paper uses it to vary luminance (section 3-1).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

DIGITS = 8  # colours have 8 bits; a shift changes by a hundred-thousandth of one at most


@dataclass(frozen=True)
class Basis:
    """Spread of the colours of a set of images.

    eigenvalues: (3,), largest first, variance of RGB in [0, 1].
    eigenvectors: (3, 3), one a column, in the order of the eigenvalues.
    """

    eigenvalues: np.ndarray
    eigenvectors: np.ndarray

    def as_lists(self) -> dict[str, list]:
        """Plain lists, for JSON, to DIGITS decimals: the last ones differ from processor to processor."""
        values, vectors = self.eigenvalues.round(DIGITS), self.eigenvectors.round(DIGITS)
        return {"eigenvalues": values.tolist(), "eigenvectors": vectors.tolist()}

    @classmethod
    def from_lists(cls, lists: dict[str, list]) -> "Basis":
        """What `as_lists` gave."""
        return cls(np.array(lists["eigenvalues"]), np.array(lists["eigenvectors"]))

    def shifts(self, alphas: np.ndarray) -> np.ndarray:
        """The colours to add for draws `alphas` (N, 3): (N, 3) in RGB of [0, 1]."""
        return (alphas * self.eigenvalues) @ self.eigenvectors.T


def fit(images: Iterable[np.ndarray]) -> Basis:
    """The basis of `images`, each uint8 (H, W, 3).

    Sums are kept image by image, so memory does not grow with their number.
    """
    count, total, products = 0, np.zeros(3), np.zeros((3, 3))
    for image in images:
        pixels = image.reshape(-1, 3) / 255.0
        count += len(pixels)
        total += pixels.sum(axis=0)
        products += pixels.T @ pixels
    mean = total / count
    values, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    # eigh leaves the sign of a vector open; fix it, so that every machine writes the same basis.
    vectors = vectors * np.where(vectors.sum(axis=0) < 0, -1, 1)
    return Basis(values[::-1].clip(min=0), vectors[:, ::-1])
