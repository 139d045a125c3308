"""sRGB ↔ CIE L*a*b* and the CIEDE2000 colour difference, on torch tensors on any device.

Colours lie along dimension -3: (..., 3, H, W). White is D65, 2° observer, and the matrices and
thresholds are those of scikit-image, the oracle of the tests. L* is in [0, 100]; a* and b* of sRGB
colours lie within [-108, 99].
"""

import math

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
TO_RELATIVE_XYZ = (RGB_TO_XYZ / WHITE[:, None]).tolist()  # relative to white
FROM_RELATIVE_XYZ = (torch.linalg.inv(RGB_TO_XYZ) * WHITE).tolist()

PIECE = 2**17  # pixels: the temporaries of two cores' halves stay near them (benchmarks/README.md)
TINY = 1e-15  # the least that anything is divided by; its square is still a float32


def _mix(matrix: list[list[float]], colors: Tensor) -> Tensor:
    """Apply a 3×3 matrix to each colour.

    By single products: autocast and TF32 would round a matrix product to three digits, and colours with it.
    """
    channels = colors.unbind(-3)
    rows = ([weight * channel for weight, channel in zip(row, channels, strict=True)] for row in matrix)
    return torch.stack([r + g + b for r, g, b in rows], dim=-3)


def from_bytes(images: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) to sRGB in [0, 1], (B, 3, H, W), channels last in memory."""
    return images.permute(0, 3, 1, 2).float() / 255


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] to L*a*b*; both (..., 3, H, W)."""
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = _mix(TO_RELATIVE_XYZ, linear)
    x, y, z = torch.where(xyz > 0.008856, xyz.clamp(min=1e-9) ** (1 / 3), 7.787 * xyz + 16 / 116).unbind(-3)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=-3)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """L*a*b* to sRGB in [0, 1]; both (..., 3, H, W). Colours that sRGB lacks are clipped."""
    lightness, a, b = lab.unbind(-3)
    y = (lightness + 16) / 116
    f = torch.stack((y + a / 500, y, (y - b / 200).clamp(min=0)), dim=-3)
    xyz = torch.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787)
    linear = _mix(FROM_RELATIVE_XYZ, xyz)
    rgb = torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055, 12.92 * linear)
    return rgb.clamp(0, 1)


def ciede2000(lab1: Tensor, lab2: Tensor) -> Tensor:
    """CIEDE2000 difference ΔE₀₀ of two images in L*a*b*: (..., 3, H, W) twice to (..., H, W), ≥ 0.

    With the parametric factors k_L = k_C = k_H = 1. Names and steps follow Sharma, Wu & Dalal,
    "The CIEDE2000 color-difference formula", Color Research and Application 30(1), 2005.
    """
    if torch.compiler.is_exporting():  # a graph for any number of images has no number of pieces
        return _ciede2000(*lab1.unbind(-3), *lab2.unbind(-3))
    planes = [plane.reshape(-1) for lab in (lab1, lab2) for plane in lab.unbind(-3)]
    # Some fifty operations: on the CPU they go over pieces that stay in its caches.
    piece = PIECE if lab1.device.type == "cpu" else max(1, planes[0].numel())
    difference = torch.empty_like(planes[0])
    for out, *colors in zip(difference.split(piece), *(plane.split(piece) for plane in planes), strict=True):
        out.copy_(_ciede2000(*colors))
    return difference.reshape(lab1.select(-3, 0).shape)


def _ciede2000(L1: Tensor, a1: Tensor, b1: Tensor, L2: Tensor, a2: Tensor, b2: Tensor) -> Tensor:
    """ΔE₀₀ of colours given as planes; hues are unit vectors here, and one atan2 is all the trigonometry."""
    # Step 1: a' and C'; the unit vector (x, y) stands for the hue h'.
    b1_squared, b2_squared = b1 * b1, b2 * b2
    C1, C2 = torch.addcmul(b1_squared, a1, a1).sqrt_(), torch.addcmul(b2_squared, a2, a2).sqrt_()
    G = 0.5 - 0.5 * _seventh((C1 + C2) / 2)
    a1, a2 = torch.addcmul(a1, G, a1), torch.addcmul(a2, G, a2)
    C1, C2 = torch.addcmul(b1_squared, a1, a1).sqrt_(), torch.addcmul(b2_squared, a2, a2).sqrt_()
    scale1, scale2 = C1.clamp(min=TINY).reciprocal_(), C2.clamp(min=TINY).reciprocal_()
    x1, y1, x2, y2 = a1 * scale1, b1 * scale1, a2 * scale2, b2 * scale2

    # Step 2: differences. (dx, dy) is 2 sin(Δh'/2) long. Its sign is that of sin Δh'; for hues just opposite,
    # Sharma's: plus where h2' is the larger, which is where h1' lies in [0°, 180°).
    dx, dy = x2 - x1, y2 - y1
    opposite = torch.where(torch.add(y1, x1, alpha=TINY) < 0, -TINY, TINY)
    turn = torch.addcmul(torch.addcmul(opposite, x1, y2), y1, x2, value=-1)
    turn = torch.where(turn < 0, -1.0, 1.0)
    dH = torch.addcmul(dx * dx, dy, dy).mul_(C1).mul_(C2).sqrt_().mul_(turn)

    # Step 3: means. The mean hue lies along the sum of the unit vectors and, turned by 90°, along their
    # difference; one of the two is always long enough.
    x, y = torch.addcmul(x1.add_(x2), turn, dy), torch.addcmul(y1.add_(y2), turn, dx, value=-1)
    scale = torch.addcmul(x * x, y, y).clamp_(min=TINY).rsqrt_()
    cos, sin = x.mul_(scale), y.mul_(scale)
    cos2, sin2 = (cos * cos).mul_(2).sub_(1), (sin * cos).mul_(2)
    cos3, sin3 = cos * (2 * cos2 - 1), sin * (2 * cos2 + 1)
    cos4, sin4 = (cos2 * cos2).mul_(2).sub_(1), (sin2 * cos2).mul_(2)
    T = torch.ones_like(cos)
    for factor, shift, c, s in (  # factor · cos(n h - shift)
        (-0.17, 30, cos, sin),
        (0.24, 0, cos2, sin2),
        (0.32, -6, cos3, sin3),
        (-0.20, 63, cos4, sin4),
    ):
        T.add_(c, alpha=factor * math.cos(math.radians(shift)))
        T.add_(s, alpha=factor * math.sin(math.radians(shift)))
    # h' from 0° to 360°, as the published formula has it: 275° is far from 5°, not near.
    h = torch.atan2(sin.neg_(), cos.neg_()).add_(math.pi)
    two_d_theta = ((h - math.radians(275)) / math.radians(25)).square_().neg_().exp_().mul_(math.radians(60))

    L, C = ((L1 + L2) / 2 - 50).square_(), C1.add(C2).div_(2)
    R_T = two_d_theta.sin_().mul_(_seventh(C)).mul_(-2)
    # The terms of ΔE₀₀², each difference divided by its weighting function S_L, S_C or S_H.
    L_term = (L2 - L1).div_(L.mul((20 + L).rsqrt_()).mul_(0.015).add_(1))
    C_term = (C2 - C1).div_((0.045 * C).add_(1))
    H_term = dH.div_(T.mul_(C).mul_(0.015).add_(1))
    dE2 = torch.addcmul(L_term.square_(), C_term, C_term).addcmul_(H_term, H_term)
    return dE2.addcmul_(R_T.mul_(C_term), H_term).clamp_(min=0).sqrt_()


def _seventh(C: Tensor) -> Tensor:
    """sqrt(C⁷ / (C⁷ + 25⁷)), by products: a power costs more than all of them."""
    squared = C * C
    C7 = (squared * squared).mul_(squared).mul_(C)
    return (C7 / (C7 + 25.0**7)).sqrt_()
