"""The attention mechanism (section 3-5): Eq. 2 and Eq. 3."""

import torch
from torch import Tensor


def attention_map(features: Tensor) -> Tensor:
    """Eq. 2, M_p = σ(φ(g_p)): (N, C, H, W) to (N, 1, H, W) in [0, 1]; φ is the mean over channels."""
    return torch.sigmoid(features.mean(dim=1, keepdim=True))


def attend(features: Tensor, attention: Tensor) -> Tensor:
    """Eq. 3, f̂_p = (1 ⊕ M_p) ⊗ f_p: features (N, C, H, W) by an attention map (N, 1, H, W)."""
    return (1 + attention) * features
