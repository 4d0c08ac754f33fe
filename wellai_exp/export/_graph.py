"""The graph that is shipped: pixels in, probabilities out, with nothing in it that is only for training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wellai_exp.errors import TrialFailed

INPUT, OUTPUT = "image", "probabilities"
# How the names of TensorFlow's operations begin that draw random numbers.
_RANDOM = ("Random", "Stateless", "Stateful", "Parameterized", "Truncated", "Multinomial", "SampleDistorted", "Rng")
_NOT_RANDOM = ("StatefulPartitionedCall", "StatelessIf", "StatelessWhile", "StatelessCase")


def write_saved_model(model: Any, folder: Path) -> None:
    """Write a network as the SavedModel that every other format is made from.

    Parameters
    ----------
    model : keras.Model
        From images ``(n, size, size, 3)``, pixels 0 to 255, to float32 ``(n, c)``.
    folder : Path
        Its serving signature takes ``image``, float32 ``(1, size, size, 3)``, and gives ``probabilities``, float32
        ``(1, c)``.

    Raises
    ------
    TrialFailed
        Where the graph would draw random numbers.
    """
    import keras
    import tensorflow as tf

    signature = [tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name=INPUT)]
    archive = keras.export.ExportArchive()
    archive.track(model)
    # `model.export` would trace in training mode where a layer is random: augmentation would stay in the graph, and
    # batch normalisation would take its statistics from the one frame.
    archive.add_endpoint(
        "serve", lambda image: {OUTPUT: model(image, training=False)}, input_signature=signature, jit_compile=False
    )
    archive.write_out(str(folder), verbose=False)
    if drawn := random_operations(folder):
        raise TrialFailed(f"{model.name} draws random numbers when it predicts ({', '.join(drawn)})")


def random_operations(folder: Path) -> list[str]:
    """Name the operations of a SavedModel that draw random numbers, each once, in alphabetical order."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graphs = [meta.graph_def for meta in saved.meta_graphs]
    nodes = [node for graph in graphs for node in graph.node]
    nodes += [node for graph in graphs for function in graph.library.function for node in function.node_def]
    return sorted({node.op for node in nodes if node.op.startswith(_RANDOM) and node.op not in _NOT_RANDOM})
