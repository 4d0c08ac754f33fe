"""A person's joints as features: MoveNet's key points, and what the body does with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError
from wellai_exp.models._backbone import Backbone, check_size
from wellai_exp.models._blocks import FIXED
from wellai_exp.models._tflite_graph import TFLiteGraph, UnknownGraphError
from wellai_exp.models._weights import check_tflite

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[np.float32]

_SIDE = 192
_CELLS = 48
KEY_POINTS = 17
# What MoveNet adds to a distance, in cells, before it divides a heat map by it.
_NEAR = 1.8
# How many times a log score counts before the softmax: at 1 a map's mean place, at infinity its highest cell.
_SHARPNESS = 16.0
_TINY = 1e-6
# Pairs of key points (COCO's order: nose, eyes, ears, then left and right shoulder, elbow, wrist, hip, knee, ankle).
_LIMBS = (
    *((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16)),
    *((5, 11), (6, 12), (5, 6), (11, 12), (0, 5), (0, 6)),
)
# Pairs of limbs that meet in a joint: elbows, knees, shoulders, hips.
_JOINTS = ((0, 1), (2, 3), (4, 5), (6, 7), (0, 8), (2, 9), (4, 8), (6, 9))
_BODY = (0, *range(5, KEY_POINTS))
_PAIRS = tuple((one, other) for index, one in enumerate(_BODY) for other in _BODY[index + 1 :])


@dataclass(frozen=True)
class MoveNet(Backbone):
    """Features of a pose: where MoveNet sees the joints of the person in the middle of the picture.

    MoveNet ("Next-Generation Pose Detection with MoveNet and TensorFlow.js", 2021) is a MobileNetV2 with a feature
    pyramid whose heads say, for each of 48 x 48 cells, how likely a person's centre lies there, where from it the 17
    key points should be, how likely each key point lies there, and by how much off the cell (after CenterNet, Zhou et
    al. 2019, arXiv 1904.07850). Its TFLite file becomes Keras layers with float weights, and each highest cell becomes
    a softmax over the cells, so that every target of export knows all of it.

    The features, of key points moved to their centre and scaled by their spread, both weighted by confidence: places
    (34), confidences (17), directions of 14 limbs (28), cosine and sine at 8 joints (16), distances of 78 pairs. A
    picture that was stretched to a square bends limbs: ``regime.resize=pad`` leaves them as they are.

    Nothing of it learns in a fine-tuning, since what a joint is it has learnt from far more people.

    Parameters
    ----------
    weights : str or Path
        The ``.tflite`` file of MoveNet single pose, lightning.
    sha256 : str or None
        Pins the file.
    size : int
        Height and width of the images in pixels, 96 to 1024; the network itself sees 192.

    Raises
    ------
    SettingError
        Where a setting cannot work. The file is looked at by `weights_digest` and `build`.
    """

    weights: str | Path = ""
    sha256: str | None = None
    size: int = _SIDE

    def __post_init__(self) -> None:
        check_size(self.size, _SIDE // 2)
        if not isinstance(self.weights, (str, Path)) or not str(self.weights):
            raise SettingError(
                "backbone.weights", self.weights, "it names no weights", "set backbone.weights to MoveNet's .tflite"
            )

    @property
    def name(self) -> str:
        """The network and its size."""
        return f"movenet_{self.size}"

    @property
    def pretrained(self) -> bool:
        """It always comes with its weights."""
        return True

    @property
    def batch_norm_folded(self) -> bool:
        """Its file has batch normalisation folded in."""
        return True

    @property
    def _path(self) -> Path:
        return Path(self.weights).expanduser()

    def weights_digest(self) -> str:
        """Give the file's SHA-256, as `Backbone.weights_digest`."""
        return check_tflite(self._path, self.sha256)

    def feature_settings(self) -> dict[str, object]:
        """Give the size; all else is the network's own."""
        return {"size": self.size}

    def at_size(self, size: int) -> Self:
        """Give the same network for another image size, as `Backbone.at_size`."""
        return replace(self, size=size)

    def build(self) -> keras.Model:
        """Make the Keras model, as `Backbone.build`."""
        import keras

        check_tflite(self._path, self.sha256)
        image = keras.Input((self.size, self.size, 3), name="image")
        seen = image if self.size == _SIDE else keras.layers.Resizing(_SIDE, _SIDE, name="to_movenet")(image)
        try:
            heads = Heads.of(TFLiteGraph(self._path.read_bytes()), seen)
        except UnknownGraphError as error:
            raise SettingError(
                "backbone.weights",
                self.weights,
                f"it is not MoveNet single pose, lightning ({error})",
                "set backbone.weights to that .tflite file",
            ) from error
        model = keras.Model(image, pose_features(*heads.key_points()), name=f"{FIXED}{self.name}")
        model.trainable = False
        return model


@dataclass(frozen=True, eq=False)
class Heads:
    """What MoveNet's heads say of each cell.

    Parameters
    ----------
    heat : keras.KerasTensor
        Whether a key point lies there: logits (n, 48, 48, 17).
    centre : keras.KerasTensor
        Whether a person's centre lies there: logits (n, 48, 48, 1).
    reach : keras.KerasTensor
        From a centre to the key points, in cells, down and right in turn: (n, 48, 48, 34).
    offset : keras.KerasTensor
        From a cell to a key point in it, likewise.
    middle : numpy.ndarray
        How much a centre counts by its place, float32 (48, 48, 1).
    """

    heat: Any
    centre: Any
    reach: Any
    offset: Any
    middle: Array

    @classmethod
    def of(cls, graph: TFLiteGraph, image: keras.KerasTensor) -> Heads:
        """Find the heads in MoveNet's graph and compute them from its image.

        Raises
        ------
        UnknownGraphError
            Where it has others.
        """
        # A person's reach is looked up at one cell, the offsets at one for each key point.
        looked_up = {
            int(operator.inputs[0]): graph.shape(operator.inputs[1])
            for name, operator in graph.operators
            if name == "GATHER_ND"
        }
        maps = {"heat": 17, "centre": 1, "reach": 34, "offset": 34}
        found: dict[str, int] = {}
        for name, operator in graph.operators:
            tensor = int(operator.outputs[0])
            shape = graph.shape(tensor)
            for head, channels in maps.items():
                person = {"reach": (1, 3), "offset": (KEY_POINTS, 3)}.get(head)
                fits = name == "CONV_2D" and shape == (1, _CELLS, _CELLS, channels)
                if fits and (person is None or looked_up.get(tensor) == person):
                    found[head] = tensor
        if len(found) < len(maps):
            raise UnknownGraphError("it has other heads")
        heat, centre, reach, offset = graph.keras_outputs(image, [found[head] for head in maps])
        return cls(heat, centre, reach, offset, cls._middle(graph))

    @staticmethod
    def _middle(graph: TFLiteGraph) -> Array:
        for name, operator in graph.operators:
            weight = graph.constant(int(operator.inputs[1])) if name == "MUL" else None
            if weight is not None and weight.shape == (_CELLS, _CELLS, 1):
                return weight
        raise UnknownGraphError("it does not favour who is in the middle")

    def key_points(self) -> tuple[Any, Any]:
        """Give places, down and right in image sides, (n, 17, 2), and confidences, (n, 17)."""
        from keras import layers, ops

        heat, centre, reach, offset = (
            ops.cast(each, "float32") for each in (self.heat, self.centre, self.reach, self.offset)
        )
        here = _shares(ops.add(ops.log_sigmoid(centre), np.log(self.middle[None] + _TINY)))
        expected = [_mean(here, ops.add(reach[..., axis::2], _GRID[axis])) for axis in (0, 1)]
        away = [ops.square(ops.subtract(mean, grid)) for mean, grid in zip(expected, _GRID, strict=True)]
        near = ops.log(ops.sqrt(away[0] + away[1] + _TINY) + _NEAR)
        chosen = _shares(ops.log_sigmoid(heat) - near)
        places = [_mean(chosen, ops.add(offset[..., axis::2], _GRID[axis])) for axis in (0, 1)]
        down, right, sure = (
            layers.Reshape((KEY_POINTS, 1))(each) for each in (*places, _mean(chosen, ops.sigmoid(heat)))
        )
        return layers.Concatenate()([down, right]) / float(_CELLS), layers.Flatten()(sure)


# Each cell's place from the top, and from the left: (1, 48, 48, 1). Maps stay as they are, height and width before the
# channels: converters to other formats lose their way in reshaped and transposed ones.
_GRID = np.mgrid[:_CELLS, :_CELLS].astype(np.float32)[:, None, :, :, None]


def _shares(scores: Any) -> Any:
    """Give the share of each cell, from log scores (n, 48, 48, k): close to the highest one's, yet smooth."""
    from keras import ops

    lower = scores - ops.max(scores, axis=(1, 2), keepdims=True)
    weights = ops.exp(lower * _SHARPNESS)
    return weights / ops.sum(weights, axis=(1, 2), keepdims=True)


def _mean(shares: Any, values: Any) -> Any:
    """Give the mean (n, 1, 1, k) of values (n, 48, 48, k) by shares of the cells (n, 48, 48, k or 1)."""
    from keras import ops

    return ops.sum(shares * values, axis=(1, 2), keepdims=True)


def pose_features(places: Any, confidence: Any) -> Any:
    """Describe a body by its key points, wherever in the picture it is and however large.

    Parameters
    ----------
    places : keras.KerasTensor
        Shape (n, 17, 2), in COCO's order.
    confidence : keras.KerasTensor
        Shape (n, 17), 0 to 1.

    Returns
    -------
    keras.KerasTensor
        Shape (n, 173).
    """
    from keras import layers, ops

    share = ops.expand_dims(confidence / ops.sum(confidence, axis=1, keepdims=True), -1)
    around = places - ops.sum(share * places, axis=1, keepdims=True)
    spread = ops.sum(share * ops.sum(ops.square(around), axis=2, keepdims=True), axis=1, keepdims=True)
    body = around / ops.sqrt(spread + _TINY)
    limbs = _difference(body, _LIMBS)
    directions = limbs / ops.expand_dims(_length(limbs), -1)
    one, other = (ops.take(directions, [joint[end] for joint in _JOINTS], axis=1) for end in (0, 1))
    cosine = ops.sum(one * other, axis=2)
    sine = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
    flat = [layers.Flatten()(body), confidence, layers.Flatten()(directions), cosine, sine]
    return layers.Concatenate(name="features")([*flat, _length(_difference(body, _PAIRS))])


def _difference(body: Any, pairs: tuple[tuple[int, int], ...]) -> Any:
    """Give the way from one key point of each pair to the other, (n, pairs, 2)."""
    from keras import ops

    one, other = (ops.take(body, [pair[end] for pair in pairs], axis=1) for end in (0, 1))
    return other - one


def _length(ways: Any) -> Any:
    from keras import ops

    return ops.sqrt(ops.sum(ops.square(ways), axis=-1) + _TINY)
