"""sRGB ↔ CIE L*a*b* and the CIEDE2000 colour difference, on torch tensors on any device.

Colours lie along dimension -3: (..., 3, H, W). White is D65, 2° observer, and the matrices and
thresholds are those of scikit-image, the oracle of the tests. L* is in [0, 100]; a* and b* of sRGB
colours lie within [-108, 99].
"""

import torch
from torch import Tensor

# Linear sRGB to CIE XYZ (IEC 61966-2-1), and XYZ of the white point.
RGB_TO_XYZ = torch.tensor(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ],
    dtype=torch.float64,
)
WHITE = torch.tensor([0.95047, 1.0, 1.08883], dtype=torch.float64)


def _mix(matrix: Tensor, colors: Tensor) -> Tensor:
    """Apply a 3×3 matrix to each colour."""
    return torch.einsum("ij,...jhw->...ihw", matrix.to(colors), colors)


def from_bytes(images: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) to sRGB in [0, 1], (B, 3, H, W), channels last in memory."""
    return images.permute(0, 3, 1, 2).float() / 255


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] to L*a*b*; both (..., 3, H, W)."""
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = _mix(RGB_TO_XYZ / WHITE[:, None], linear)  # relative to white
    x, y, z = torch.where(xyz > 0.008856, xyz.clamp(min=1e-9) ** (1 / 3), 7.787 * xyz + 16 / 116).unbind(-3)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=-3)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """L*a*b* to sRGB in [0, 1]; both (..., 3, H, W). Colours that sRGB lacks are clipped."""
    lightness, a, b = lab.unbind(-3)
    y = (lightness + 16) / 116
    f = torch.stack((y + a / 500, y, (y - b / 200).clamp(min=0)), dim=-3)
    xyz = torch.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787)
    linear = _mix(torch.linalg.inv(RGB_TO_XYZ) * WHITE, xyz)
    rgb = torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055, 12.92 * linear)
    return rgb.clamp(0, 1)


def ciede2000(lab1: Tensor, lab2: Tensor) -> Tensor:
    """CIEDE2000 difference ΔE₀₀ of two images in L*a*b*: (..., 3, H, W) twice to (..., H, W), ≥ 0.

    With the parametric factors k_L = k_C = k_H = 1. Names and steps follow Sharma, Wu & Dalal,
    "The CIEDE2000 color-difference formula", Color Research and Application 30(1), 2005.
    """
    L1, a1, b1 = lab1.unbind(-3)
    L2, a2, b2 = lab2.unbind(-3)

    # Step 1: C' and h' (in degrees; hue 0 for grey).
    C_mean7 = ((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2) ** 7
    G = 0.5 * (1 - torch.sqrt(C_mean7 / (C_mean7 + 25.0**7)))
    a1, a2 = (1 + G) * a1, (1 + G) * a2
    C1, C2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1 = torch.rad2deg(torch.atan2(b1, a1)) % 360
    h2 = torch.rad2deg(torch.atan2(b2, a2)) % 360

    # Step 2: differences; hue the short way round, and none where one colour is grey.
    both_hued = C1 * C2 != 0
    dh = torch.where(both_hued, (h2 - h1 + 180) % 360 - 180, 0)
    # The modulus maps a turn of +180° to -180°; the sign matters to the rotation term.
    dh = torch.where(h2 - h1 == 180, 180, dh)
    dL, dC = L2 - L1, C2 - C1
    dH = 2 * torch.sqrt(C1 * C2) * torch.sin(torch.deg2rad(dh) / 2)

    # Step 3: means; the mean hue lies on the short arc, and is the sum where one colour is grey.
    L, C = (L1 + L2) / 2, (C1 + C2) / 2
    h = (h1 + h2) / 2
    h = torch.where((h1 - h2).abs() > 180, torch.where(h1 + h2 < 360, h + 180, h - 180), h)
    h = torch.where(both_hued, h, h1 + h2)

    def cos(degrees: Tensor) -> Tensor:
        return torch.cos(torch.deg2rad(degrees))

    T = 1 - 0.17 * cos(h - 30) + 0.24 * cos(2 * h) + 0.32 * cos(3 * h + 6) - 0.20 * cos(4 * h - 63)
    d_theta = 30 * torch.exp(-(((h - 275) / 25) ** 2))
    C7 = C**7
    R_C = 2 * torch.sqrt(C7 / (C7 + 25.0**7))
    S_L = 1 + 0.015 * (L - 50) ** 2 / torch.sqrt(20 + (L - 50) ** 2)
    S_C = 1 + 0.045 * C
    S_H = 1 + 0.015 * C * T
    R_T = -torch.sin(torch.deg2rad(2 * d_theta)) * R_C
    l, c, H = dL / S_L, dC / S_C, dH / S_H
    return torch.sqrt((l**2 + c**2 + H**2 + R_T * c * H).clamp(min=0))
