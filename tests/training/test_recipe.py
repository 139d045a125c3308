"""Our own recipe: the learning rate's rise and fall, and images turned with their maps."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from leanet.training.recipe import BRIGHTNESS, augment, class_weights, halved, is_small, schedule, views, vote


def rates(recipe: str, steps: int) -> list[float]:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    plan, seen = schedule(recipe, optimizer, 0.01, steps), []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        plan.step()
    return seen


def test_the_papers_learning_rate_stays_and_ours_rises_and_falls_once():
    assert rates("paper", 20) == [0.01] * 20
    ours = rates("fast", 100)
    top = ours.index(max(ours))
    assert max(ours) == pytest.approx(0.01, rel=1e-3)
    assert ours[:top] == sorted(ours[:top])
    assert ours[top:] == sorted(ours[top:], reverse=True)
    assert ours[-1] < 1e-5


def all_turns(image: torch.Tensor) -> set[bytes]:
    """The eight turns by quarters and mirror of (side, side), by torch's own rot90."""
    return {
        torch.rot90(mirrored, k, (0, 1)).contiguous().numpy().tobytes()
        for mirrored in (image, image.flip(1))
        for k in range(4)
    }


def test_views_are_the_eight_turns_and_begin_with_the_image_itself():
    images, maps = torch.rand(2, 3, 8, 8), torch.rand(2, 1, 8, 8)
    seen = list(views(images, maps))
    assert torch.equal(seen[0][0], images)
    assert torch.equal(seen[0][1], maps)
    for source, place in ((images, 0), (maps, 1)):
        own = {view[place][1, 0].contiguous().numpy().tobytes() for view in seen}
        assert own == all_turns(source[1, 0])


def test_a_map_is_turned_with_its_image_and_never_brightened():
    side, generator = 6, torch.Generator().manual_seed(0)
    maps = torch.rand(400, 1, side, side)
    images = maps.expand(-1, 3, -1, -1) * 0.5
    drawn, turned = augment(images, maps, generator)
    factors = (drawn / (turned * 0.5)).flatten(1)
    assert torch.allclose(factors, factors[:, :1].expand_as(factors), rtol=1e-4)  # one brightness an image
    assert factors.min() >= 1 - BRIGHTNESS - 1e-4
    assert factors.max() <= 1 + BRIGHTNESS + 1e-4
    assert factors[:, 0].std() > BRIGHTNESS / 3
    kinds = [
        sorted(all_turns(before[0])).index(after[0].contiguous().numpy().tobytes())
        for before, after in zip(maps, turned, strict=True)
    ]
    assert all(kinds.count(kind) > 20 for kind in range(8))  # 50 expected


def test_classes_count_alike_in_our_recipe_as_scikit_learn_balances_them():
    labels = torch.tensor([0] * 122 + [1] * 40)
    assert class_weights("paper", labels) is None
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels.numpy())
    assert class_weights("fast", labels).tolist() == pytest.approx(expected.tolist())


def test_augmented_images_stay_images():
    images, _ = augment(torch.ones(50, 3, 4, 4), torch.zeros(50, 1, 4, 4), torch.Generator().manual_seed(0))
    assert images.max() == 1
    assert images.min() < 1


def test_the_external_network_has_half_a_say_in_our_recipe_and_none_in_the_papers():
    logits, external = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    assert torch.equal(vote("fast", logits, external), torch.tensor([[1.0, 2.0]]))
    assert torch.equal(vote("paper", logits, external), logits)
    assert torch.equal(vote("fast", logits, None), logits)


def test_images_are_small_in_the_first_half_of_our_recipe_where_half_is_large_enough():
    assert [is_small("fast", 128, done / 4) for done in range(4)] == [True, True, False, False]
    assert not is_small("fast", 64, 0)
    assert not is_small("paper", 128, 0)


def test_halving_takes_means_of_four_pixels():
    images = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert torch.equal(halved(images), torch.tensor([[[[2.5, 4.5], [10.5, 12.5]]]]))
