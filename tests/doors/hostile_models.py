"""Model files that a stranger made, each with a ``labels.json`` that vouches for it.

Called as ``python hostile_models.py FOLDER``: makes each below the folder, loads it as the program does, and prints one
JSON object a file: what was said, and what Python's audit hooks saw of it.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from wellai_exp.errors import WellaiError
from wellai_exp.paths import sealed, sha256_of

Members = dict[str, bytes]
_seen: list[str] = []
_listening: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _listening and event in ("import", "open", "os.system", "subprocess.Popen", "pickle.find_class", "exec"):
        _seen.append(f"{event} {arguments[0]}")


class Payload:
    """Makes a pickle that runs a command when it is read."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch RAN",)


def edited(members: Members, change: Callable[[dict[str, Any]], None]) -> Members:
    config = json.loads(members["config.json"])
    change(config)
    return {**members, "config.json": json.dumps(config).encode()}


def layer(module: str | None, name: str, settings: dict[str, Any] | None = None, registered: str | None = None) -> Any:
    """Put a layer of any class in the place of the last one."""
    fields = {"module": module, "class_name": name, "registered_name": registered, "config": settings or {}}
    return lambda members: edited(members, lambda config: config["config"]["layers"][-1].update(fields))


def activation(module: str, name: str) -> Any:
    function = {"module": module, "class_name": "function", "config": name, "registered_name": name}

    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1]["config"]["activation"] = function

    return lambda members: edited(members, change)


def compiled(config: dict[str, Any]) -> None:
    config["compile_config"] = {"loss": {"module": "evil", "class_name": "act", "config": {}}}


def with_weights(write: Callable[[h5py.File], None]) -> Any:
    def change(members: Members) -> Members:
        held = io.BytesIO(members["model.weights.h5"])
        with h5py.File(held, "a") as store:
            write(store)
        return {**members, "model.weights.h5": held.getvalue()}

    return change


def dataset_of(store: h5py.File) -> str:
    names: list[str] = []
    store.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names[0]


def external_link(store: h5py.File) -> None:
    name = dataset_of(store)
    del store[name]
    store[name] = h5py.ExternalLink("secret.h5", "/w")


def external_data(store: h5py.File) -> None:
    name = dataset_of(store)
    shape = store[name].shape
    del store[name]
    store.create_dataset(name, shape, "float32", external=[("secret.bin", 0, h5py.h5f.UNLIMITED)])


def soft_link(store: h5py.File) -> None:
    name = dataset_of(store)
    store.move(name, "elsewhere")
    store[name] = h5py.SoftLink("/elsewhere")


def virtual_data(store: h5py.File) -> None:
    name = dataset_of(store)
    layout = h5py.VirtualLayout(shape=store[name].shape, dtype="float32")
    layout[...] = h5py.VirtualSource("secret.h5", "w", shape=store[name].shape)
    del store[name]
    store.create_virtual_dataset(name, layout)


def shape_bomb(store: h5py.File) -> None:
    name = dataset_of(store)
    del store[name]
    store.create_dataset(name, (2**20, 2**20), "float32", chunks=(1024, 1024), compression="gzip")


def legacy(members: Members) -> bytes:
    """A whole HDF5 model of old, whose config holds a marshalled function."""
    held = io.BytesIO()
    with h5py.File(held, "w") as store:
        store.attrs["model_config"] = members["config.json"].decode()
        store.create_group("model_weights")
    return held.getvalue()


def npz_pickle(members: Members) -> Members:
    held = io.BytesIO()
    np.savez(held, w=np.array([Payload()], object))
    kept = {name: data for name, data in members.items() if name != "model.weights.h5"}
    return {**kept, "model.weights.npz": held.getvalue()}


LAMBDA = {"function": {"class_name": "__lambda__", "config": {"code": "4wAAAA==", "defaults": None, "closure": None}}}
SMUGGLED = {"function": {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "eval"}}
CASES: dict[str, Callable[[Members], Members | bytes]] = {
    "lambda": layer("keras.layers", "Lambda", LAMBDA),
    "lambda of a name": layer("keras.layers", "Lambda", SMUGGLED),
    "lambda in disguise": layer("keras.src.layers.core.lambda_layer", "Lambda", LAMBDA),
    "TFSMLayer": layer("keras.layers", "TFSMLayer", {"filepath": "saved_model", "call_endpoint": "serve"}),
    "TorchModuleWrapper": layer("keras.layers", "TorchModuleWrapper", {"module": "gASVAA=="}),
    "JaxLayer": layer("keras.layers", "JaxLayer", {"call_fn": LAMBDA["function"]}),
    "os.system": layer("os", "system", {"command": "touch RAN"}),
    "a module of one's own": layer("evil", "Evil"),
    "a registered class": layer("evil", "Evil", registered="evil>Evil"),
    "a package that Keras trusts": layer("keras_hub.models", "Evil"),
    "a function that is no layer": layer("keras.utils", "get_file", {"origin": "http://127.0.0.1:9/x"}),
    "a builtin": layer("builtins", "exec", {"source": "1"}),
    "an activation of eval": activation("builtins", "eval"),
    "an activation of one's own": activation("evil", "act"),
    "a loss of one's own": lambda members: edited(members, compiled),
    "zip-slip": lambda members: {**members, "../RAN": b"1"},
    "an absolute name": lambda members: {**members, str(Path.cwd() / "RAN"): b"1"},
    "assets": lambda members: {**members, "assets/x/vocabulary.txt": b"1"},
    "a config that grows": lambda members: {**members, "config.json": b" " * 80_000_000 + members["config.json"]},
    "weights that grow": lambda members: {**members, "model.weights.h5": bytes(300_000_000)},
    "a config nested deep": lambda members: {**members, "config.json": b"[" * 200_000 + b"]" * 200_000},
    "HDF5 external link": with_weights(external_link),
    "HDF5 external data": with_weights(external_data),
    "HDF5 soft link": with_weights(soft_link),
    "HDF5 virtual data": with_weights(virtual_data),
    "HDF5 shape bomb": with_weights(shape_bomb),
    "weights as pickles": npz_pickle,
    "a pickle": lambda members: pickle.dumps(Payload()),
    "HDF5 of old": legacy,
    "no weights": lambda members: {name: data for name, data in members.items() if name != "model.weights.h5"},
}


def vouched(folder: Path, content: Members | bytes) -> Path:
    """Write a model file and labels that pin it."""
    folder.mkdir()
    path = folder / "model.keras"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in content.items():
                archive.writestr(name, data)
    labels = sealed({"class_names": ["a", "b"], "size": 8, "metadata": {}, "sha256": sha256_of(path)})
    (folder / "labels.json").write_text(json.dumps(labels))
    return path


def plain_members(folder: Path) -> Members:
    import keras

    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    network.save(folder / "plain.keras")
    with zipfile.ZipFile(folder / "plain.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def main(folder: Path) -> None:
    from wellai_exp.tracking import load
    from wellai_exp.tracking._reference import read_file

    os.chdir(folder)
    sys.path.insert(0, str(folder))
    members = plain_members(folder)
    with h5py.File("secret.h5", "w") as store:
        store["w"] = np.ones((192, 2), np.float32)
    Path("secret.bin").write_bytes(bytes(4096))
    sound = vouched(folder / "sound", members)
    (sound.parent / "MLmodel").write_text("flavors: {python_function: {loader_module: evil}}\n")
    load(read_file(sound))
    sys.addaudithook(_hook)
    for number, (name, change) in enumerate({"sound, with an edited MLmodel": dict, **CASES}.items()):
        path = vouched(folder / str(number), change(members))
        _seen.clear()
        said = "loaded"
        _listening.append(True)
        try:
            load(read_file(path))
        except WellaiError as refused:
            said = str(refused)
        except BaseException as error:
            said = f"Traceback {type(error).__name__}: {error}"
        _listening.clear()
        print(json.dumps({"name": name, "said": said, "seen": list(_seen)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
