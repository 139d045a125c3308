"""The attention mechanism (section 3-5): Eq. 2 and Eq. 3."""

import torch
from torch import Tensor

LEAST = 1e-3  # of a deviation that is divided by


def attention_map(features: Tensor) -> Tensor:
    """Eq. 2, M_p = σ(φ(g_p)): (N, C, H, W) to (N, 1, H, W) in [0, 1]; φ is the mean over channels."""
    return torch.sigmoid(features.mean(dim=1, keepdim=True))


def contrast_map(features: Tensor) -> Tensor:
    """Eq. 2 with contrast, of our own: the mean over channels is standardised over the image before the sigmoid.

    Behind a ReLU the mean is never negative, so that Eq. 2 gives at least ½ everywhere, and 1 + M hardly differs
    from place to place. Here M is ½ on average, and spreads alike in every image: shapes as in `attention_map`.
    """
    return torch.sigmoid(standardised(features.float().mean(dim=1, keepdim=True)))


def standardised(channel: Tensor) -> Tensor:
    """A channel (N, 1, H, W) less its mean over the image, by its deviation; 0 where it is one pixel."""
    centred = channel - channel.mean(dim=(2, 3), keepdim=True)
    one = channel.shape[2] * channel.shape[3] == 1  # a deviation of a sample of one is NaN
    return centred / (channel.std(dim=(2, 3), keepdim=True, correction=0 if one else 1) + LEAST)


def attend(features: Tensor, attention: Tensor) -> Tensor:
    """Eq. 3, f̂_p = (1 ⊕ M_p) ⊗ f_p: features (N, C, H, W) by an attention map (N, 1, H, W)."""
    return (1 + attention) * features
