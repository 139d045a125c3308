import numpy as np

from leanet.color import fancy_pca

IMAGES = np.random.default_rng(0).integers(0, 200, (5, 8, 8, 3), dtype=np.uint8) + np.array([0, 30, 55], np.uint8)


def test_basis_is_that_of_the_pixels_covariance():
    basis = fancy_pca.fit(IMAGES)
    covariance = np.cov(IMAGES.reshape(-1, 3).T / 255, bias=True)
    rebuilt = basis.eigenvectors @ np.diag(basis.eigenvalues) @ basis.eigenvectors.T
    np.testing.assert_allclose(rebuilt, covariance, atol=1e-12)
    assert list(basis.eigenvalues) == sorted(basis.eigenvalues, reverse=True)


def test_shift_is_krizhevskys_sum():
    basis = fancy_pca.fit(IMAGES)
    alphas = np.array([[0.3, -0.2, 0.1], [1.0, 0.0, 2.0]])
    for alpha, shift in zip(alphas, basis.shifts(alphas), strict=True):
        expected = sum(alpha[k] * basis.eigenvalues[k] * basis.eigenvectors[:, k] for k in range(3))
        np.testing.assert_allclose(shift, expected)


def test_basis_survives_json():
    basis = fancy_pca.fit(IMAGES)
    again = fancy_pca.Basis.from_lists(basis.as_lists())
    assert again.as_lists() == basis.as_lists()
    np.testing.assert_allclose(again.eigenvectors, basis.eigenvectors, atol=1e-8)
    np.testing.assert_allclose(again.eigenvalues, basis.eigenvalues, atol=1e-8)


def test_what_another_processor_rounds_otherwise_is_not_written():
    basis = fancy_pca.fit(IMAGES)
    rounded = fancy_pca.Basis(basis.eigenvalues * (1 + 1e-14), basis.eigenvectors * (1 - 1e-14))
    assert rounded.as_lists() == basis.as_lists()
