"""The features of several backbones side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from wellai_exp.errors import SettingError
from wellai_exp.models._backbone import Backbone
from wellai_exp.models._blocks import FIXED

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Fusion(Backbone):
    """Several backbones on one image, their features concatenated in the order given.

    Parameters
    ----------
    members : sequence or mapping of Backbone
        Two or more different backbones, all pretrained or all trained from nothing. A mapping lets the command line
        reach one of them, e.g. ``backbone.members.v1.size=160``; its keys are names only. A fusion among them counts
        as its own members.

    Notes
    -----
    The image has the size of the largest member. Inside the model a smaller member sees it resized bilinearly, without
    the antialiasing that TFLite lacks, so its features there differ a little from those that it gives for a photograph
    decoded at its own size. Members of one size differ in nothing.

    Raises
    ------
    SettingError
        Where the members cannot stand side by side.
    """

    members: tuple[Backbone, ...] = ()

    def __post_init__(self) -> None:
        given: object = self.members
        if isinstance(given, Mapping):
            given = tuple(given.values())
        listed = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
        flat: tuple[Backbone, ...] = ()
        for member in listed:
            if not isinstance(member, Backbone):
                raise SettingError(
                    "backbone.members",
                    member,
                    "a member is not a backbone",
                    "give each member a _target_ of wellai_exp.models",
                )
            flat += member.members
        if len(flat) < 2 or len(set(flat)) < len(flat):
            raise SettingError(
                "backbone.members",
                [member.name for member in flat],
                "a fusion wants two or more different backbones",
                "list each once, or choose the single backbone itself",
            )
        if len({member.pretrained for member in flat}) > 1:
            raise SettingError(
                "backbone.members",
                [member.name for member in flat],
                "some members have weights and some would be trained from nothing",
                "give weights to all of them or to none",
            )
        object.__setattr__(self, "members", flat)

    @property
    def size(self) -> int:
        """The largest member's image size in pixels."""
        return max(member.size for member in self.members)

    @property
    def name(self) -> str:
        """The members' names, joined by ``+``."""
        return "+".join(member.name for member in self.members)

    @property
    def pretrained(self) -> bool:
        """Whether the members have weights."""
        return self.members[0].pretrained

    @property
    def batch_norm_folded(self) -> bool:
        """Whether any member's batch normalisation must stay frozen."""
        return any(member.batch_norm_folded for member in self.members)

    def weights_digest(self) -> str:
        """Give the members' digests, joined by ``+``."""
        return "+".join(member.weights_digest() for member in self.members)

    def feature_settings(self) -> dict[str, object]:
        """Give the members' feature keys, in their order."""
        return {"size": self.size, "members": [member.feature_key() for member in self.members]}

    def at_size(self, size: int) -> Self:
        """Give the same members for another image size, as `Backbone.at_size`."""
        sizes = [round(member.size * size / self.size) for member in self.members]
        members = tuple(member.at_size(own) for member, own in zip(self.members, sizes, strict=True))
        return replace(self, members=members)

    def build(self) -> keras.Model:
        """Make one model with one image input; each member is a nested model of its own."""
        import keras

        image = keras.Input((self.size, self.size, 3), name="image")
        features = []
        for index, member in enumerate(self.members):
            model = member.build()
            # Keras wants unique names, and two members may differ in their weights alone.
            fixed = FIXED if model.name.startswith(FIXED) else ""
            model.name = f"{fixed}member_{index}_{member.name}"
            seen = image
            if member.size != self.size:
                seen = keras.layers.Resizing(member.size, member.size, name=f"resizing_{index}")(image)
            features.append(model(seen))
        fused = keras.Model(image, keras.layers.Concatenate(name="features")(features), name="fusion")
        fused.trainable = not self.pretrained
        return fused
