"""A head for classes that have parents: what is learnt of a parent is shared by all of its classes.

Shapes: N rows, K features, C classes, P groups of one level, G groups of all levels together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from wellai_exp.errors import SettingError
from wellai_exp.models._heads import Array, Head, IntArray


@dataclass(frozen=True, eq=False)
class _Level:
    """The classes in groups.

    Parameters
    ----------
    group : numpy.ndarray
        int [C], the group of each class, in [0, P).
    """

    group: IntArray

    @property
    def membership(self) -> Array:
        """1 where a class belongs to a group, else 0: [C, P]."""
        return np.eye(self.group.max() + 1, dtype=np.float32)[self.group]

    @property
    def members(self) -> IntArray:
        """The classes of each group, small groups filled up by repeating theirs: int [P, most members]."""
        groups = [np.flatnonzero(column) for column in self.membership.T]
        longest = max(len(classes) for classes in groups)
        return np.stack([np.resize(classes, longest) for classes in groups])

    def log_sums(self, scores: Any) -> Any:
        """Give the logarithm of the sum of exp(scores) over each group: [..., N, C] to [..., N, P]."""
        from keras import ops

        # Each group is shifted by its own largest score: one shift for all would let small groups underflow to 0.
        shift = ops.stop_gradient(ops.max(ops.take(scores, self.members, axis=-1), axis=-1))
        shifted = ops.exp(scores - ops.take(shift, self.group, axis=-1))
        return ops.log(ops.matmul(shifted, self.membership)) + shift


@dataclass(frozen=True)
class HierarchicalHead(Head):
    """Multinomial logistic regression that knows the classes' parents at one level or several.

    The logit of a class is a linear score of its own plus one of its parent at each level, and the probability of a
    parent is the sum over its classes, so that no prediction contradicts itself: a tree-shaped case of HEX graphs
    (Deng et al., ECCV 2014). Classes of one parent share a part of their class vectors, which under `l2` draws them
    towards each other; rare classes gain from their siblings (Salakhutdinov et al., CVPR 2011). To the strategy's loss
    of the classes each level adds its weight times the cross-entropy of the parents' probabilities.

    As all parts are linear, the fitted head is that of one linear layer. A strategy that shifts logits by class
    frequency shifts them for the loss of the classes alone.

    Parameters
    ----------
    level_weights : float or sequence of float
        Weight of each level's loss, coarse to fine without the classes themselves; one number serves all levels.
    parents : tuple of tuple of int
        The group of each class at each level; given by :meth:`bound`, not by a config.
    """

    level_weights: float | Sequence[float] = 0.5
    parents: tuple[tuple[int, ...], ...] = ()
    # A list of weights is none.
    numbers: ClassVar[tuple[str, ...]] = (*Head.numbers, "level_weights")

    def __post_init__(self) -> None:
        super().__post_init__()
        several = isinstance(self.level_weights, Sequence)
        weights = tuple(self.level_weights) if isinstance(self.level_weights, Sequence) else (self.level_weights,)
        fine = all(isinstance(weight, (int, float)) and 0 <= weight < float("inf") for weight in weights)
        self._check("level_weights", self.level_weights, fine, "0 or more, one number or a list of them", 0.5)
        # A list from a config would leave the head without a hash.
        object.__setattr__(self, "level_weights", weights if several else weights[0])

    def bound(self, parents: Sequence[IntArray]) -> Self:
        """Give the head for data whose classes have these ancestors.

        A level that tells nothing the classes do not tell (one group for all, or one for each class) is left out.

        Raises
        ------
        SettingError
            Where no level is left, or `level_weights` does not have a number for each.
        """
        groups = [np.unique(level, return_inverse=True) for level in parents]
        telling = [group for ids, group in groups if 1 < len(ids) < len(group)]
        if not telling:
            raise SettingError(
                "head",
                self.name,
                "the classes of these data have no parents",
                "choose head=linear, or data with a hierarchy such as data=yoga82",
            )
        if isinstance(self.level_weights, Sequence) and len(self.level_weights) != len(telling):
            raise SettingError(
                "head.level_weights",
                list(self.level_weights),
                f"the data have {len(telling)} levels above their classes",
                "give a number for each, coarse to fine, or one for all, e.g. head.level_weights=0.5",
            )
        return replace(self, parents=tuple(tuple(group.tolist()) for group in telling))

    @property
    def _levels(self) -> list[_Level]:
        if not self.parents:
            raise ValueError("A hierarchical head is used only after bound(parents) has told it the classes' parents.")
        return [_Level(np.array(group)) for group in self.parents]

    @property
    def _membership(self) -> Array:
        """The groups of all levels side by side: [C, G]."""
        return np.concatenate([level.membership for level in self._levels], axis=1)

    def _initial_classifier(self, width: int, classes: int, rng: np.random.Generator) -> list[Array]:
        groups = self._membership.shape[1]
        shared = [np.zeros((groups, width), np.float32), np.zeros((1, groups), np.float32)]
        return [*shared, *super()._initial_classifier(width, classes, rng)]

    def hidden_weights(self, weights: list[Any]) -> list[Any]:
        """Give those weights that :meth:`hidden` needs: none."""
        return weights[:-4]

    def class_vectors(self, weights: list[Any]) -> Any:
        """Add the vectors of its groups to each class's own: [..., C, K]."""
        from keras import ops

        return weights[-2] + ops.matmul(self._membership, weights[-4])

    def class_bias(self, weights: list[Any]) -> Any:
        """Add the biases of its groups to each class's own: [..., 1, C]."""
        from keras import ops

        return weights[-1] + ops.matmul(weights[-3], self._membership.T)

    def log_marginals(self, logits: Any) -> list[Any]:
        """Give the log probabilities of the groups of each level, [..., N, P], from logits [..., N, C]."""
        from keras import ops

        scores = ops.log_softmax(logits, axis=-1)
        return [level.log_sums(scores) for level in self._levels]

    def extra_loss(self, logits: Any, targets: Any) -> Any:
        """Give the weighted cross-entropies of the levels, [..., N], from logits and targets [..., N, C]."""
        from keras import ops

        levels = self._levels
        given = self.level_weights
        weights = given if isinstance(given, Sequence) else [given] * len(levels)
        parts = zip(weights, levels, self.log_marginals(logits), strict=True)
        return -sum(weight * ops.sum(ops.matmul(targets, level.membership) * p, axis=-1) for weight, level, p in parts)
