"""Features of a manifest's images, from frozen backbones, through the store on disk."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.augmentation import Policy
from wellai_exp.data import FeatureStore, ImageReader, Manifest
from wellai_exp.ledger import spent
from wellai_exp.models import Backbone, folded
from wellai_exp.runtime import cores

Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
# On a processor: images of a batch for each thread, which caches hold, and batches under way at a time, of which one
# computes while another waits for a layer's slowest thread. On 2 cores both together gave 15 % over batches of 64.
# Where a network alone is faster with 16 or 32 a thread, extraction from files is not: 0.93 to 1.02 times as fast.
_IMAGES_A_THREAD, _STREAMS = 8, 2
_ON_A_GPU = 64

logger = logging.getLogger(__name__)


def traced(model: Any) -> Callable[[Any], Any]:
    """Give a model's inference as `one_function`, with its weights as they are now and batch normalisation folded."""
    return one_function(folded(model, fixed=True))


def one_function(model: Any) -> Callable[[Any], Any]:
    """Give a model as one traced function of uint8 images; ``model.predict`` costs more a batch.

    One signature for any number of images, so that a short last batch is not traced again; never XLA, which is several
    times slower than oneDNN for such networks on a CPU.
    """
    import tensorflow as tf

    size = model.inputs[0].shape[1]
    signature = [tf.TensorSpec((None, size, size, 3), tf.uint8)]
    run: Callable[[Any], Any] = tf.function(
        lambda images: model(tf.cast(images, tf.float32), training=False), input_signature=signature, jit_compile=False
    )
    return run


def batch_size() -> int:
    """Give how many images a network is shown at a time on this machine."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return _ON_A_GPU
    threads = tf.config.threading.get_intra_op_parallelism_threads() or cores()
    return _IMAGES_A_THREAD * min(threads, 16)


def streamed(forward: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Array]:
    """Run a network on batches and give its answers in their order, as float32 arrays."""
    with ThreadPoolExecutor(_STREAMS) as pool:
        under_way: deque[Future[Array]] = deque()
        for images in batches:
            under_way.append(pool.submit(lambda given: np.asarray(forward(given), np.float32), images))
            if len(under_way) > _STREAMS:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


@dataclass(frozen=True, eq=False)
class _Network:
    """A built backbone: what it is, the width of its features, and its traced inference."""

    key: tuple[str, int]
    dim: int
    forward: Callable[[Any], Any]


class BackboneFeatures:
    """Features [n, D] of any rows of a manifest, each computed once for all sweeps.

    Parameters
    ----------
    manifest : Manifest
        The images.
    store : FeatureStore
        Where features are kept.
    resize : {"stretch", "crop", "pad"}
        How an image is brought to the backbone's square input.
    memory_gb : float
        How much of them may be held in memory; beyond it the oldest are read from disk again.
    """

    def __init__(self, manifest: Manifest, store: FeatureStore, resize: str, memory_gb: float) -> None:
        self.manifest = manifest
        self.computed = 0
        self._store = store
        self._resize = resize
        self._budget = int(memory_gb * 2**30)
        self._held: OrderedDict[tuple[str, bytes], Array] = OrderedDict()
        self._network: _Network | None = None
        self._keys = [str(key) for key in manifest.frame["sha256"]]
        # No Path objects, of which 100,000 take a second: most features are known, and only an error names its image.
        root = f"{manifest.root}{os.sep}"
        self._names = [f"{root}{path}" for path in manifest.frame["path"]]

    def rows(self, backbone: Backbone, policy: Policy, view: int, rows: Rows, scope: Rows) -> Array:
        """Give the features of one view of `rows`, the members of a fusion side by side.

        Parameters
        ----------
        backbone : Backbone
            With its weights.
        policy : Policy
            Whose view is meant.
        view : int
            0 for the image itself.
        rows : numpy.ndarray
            int [n], rows of the manifest.
        scope : numpy.ndarray
            int [m], sorted; the rows that will be asked for in turn, `rows` among them. They are computed and held
            together.

        Returns
        -------
        numpy.ndarray
            float32 [n, D]; read-only where it is what is held.
        """
        parts = [self._member(member, policy, view, scope) for member in backbone.members]
        if not np.array_equal(rows, scope):
            picked = np.searchsorted(scope, rows)
            parts = [part[picked] for part in parts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _space(self, member: Backbone, policy: Policy, view: int) -> str:
        parts = (member.feature_key(), str(member.size), self._resize, policy.view_key(view))
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:24]

    def _member(self, member: Backbone, policy: Policy, view: int, rows: Rows) -> Array:
        space = self._space(member, policy, view)
        held = (space, hashlib.sha256(np.ascontiguousarray(rows).tobytes()).digest())
        if held in self._held:
            self._held.move_to_end(held)
            return self._held[held]
        keys = [self._keys[row] for row in rows]
        # Building a network takes a second; the features on disk know their width without it.
        with spent("extract"):
            table = self._store.get(
                space,
                keys,
                lambda wanted: self._compute(member, policy, view, [int(rows[index]) for index in wanted]),
                self._store.known_dim(space) or self._built(member).dim,
                f"{member.name}, {policy.name} view {view}" if view else member.name,
                names=[self._names[row] for row in rows],
            )
            self.computed += table.computed
            features = table.gather(np.arange(len(rows)))
            features.flags.writeable = False
        self._hold(held, features)
        return features

    def _built(self, member: Backbone) -> _Network:
        """Give the network, built and traced once for its views, which are asked for one after another."""
        key = member.feature_key(), member.size
        if self._network is None or self._network.key != key:
            model = member.build()
            self._network = _Network(key, int(model.output_shape[-1]), traced(model))
        return self._network

    def _hold(self, key: tuple[str, bytes], features: Array) -> None:
        self._held[key] = features
        while len(self._held) > 1 and sum(part.nbytes for part in self._held.values()) > self._budget:
            self._held.popitem(last=False)

    def _compute(self, member: Backbone, policy: Policy, view: int, rows: Sequence[int]) -> Iterator[Array]:
        forward = self._built(member).forward
        paths = [Path(self._names[row]) for row in rows]
        reader = ImageReader(paths, member.size, self._resize, batch_size=batch_size())

        def seen() -> Iterator[Any]:
            done = 0
            for images in _decoded(reader):
                keys = [self._keys[row] for row in rows[done : done + len(images)]]
                done += len(images)
                yield policy.view(images, view, keys) if view else images

        yield from streamed(forward, seen())


def _decoded(reader: ImageReader) -> Iterator[npt.NDArray[np.uint8]]:
    """Give the reader's batches; what counts as decoding is the wait for them, as it goes on beside the network."""
    batches = iter(reader)
    while True:
        with spent("decode"):
            images = next(batches, None)
        if images is None:
            return
        yield images


def picture_features(
    backbone: Backbone,
    store: FeatureStore,
    keys: Sequence[str],
    pictures: Callable[[Sequence[int], int], Iterator[npt.NDArray[np.uint8]]],
    source: str,
) -> Array:
    """Give the features of pictures that lie nowhere as files of their own, each computed once.

    Parameters
    ----------
    backbone : Backbone
        With its weights.
    store : FeatureStore
        Where features are kept.
    keys : sequence of str
        Names of n pictures, by their content.
    pictures : callable
        Given rows and a side in pixels, yields uint8 [b, side, side, 3] in their order.
    source : str
        How the pictures came about; features of another source are others.

    Returns
    -------
    numpy.ndarray
        float32 [n, D], the members of a fusion side by side.
    """
    parts = []
    for member in backbone.members:
        space = hashlib.sha256("|".join((member.feature_key(), str(member.size), source)).encode()).hexdigest()[:24]

        def compute(rows: Sequence[int], member: Backbone = member) -> Iterator[Array]:
            forward = traced(member.build())
            yield from streamed(forward, pictures(rows, member.size))

        dim = store.known_dim(space) or int(member.build().output_shape[-1])
        table = store.get(space, keys, compute, dim, f"{member.name}, {source}")
        parts.append(table.gather(np.arange(len(keys))))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
