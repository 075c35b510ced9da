import json
import subprocess
import sys
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

from faceedit.circumplex import Support
from faceedit.errors import UsageError, WeightsError
from faceedit.hub import find_weights
from faceedit.weights import RENAMED, build, load_weights, save_weights
from tests.conftest import TINY, TINY_WARP


def header_of(path):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["faceedit"])


def rewrite(source, target, header=None, **tensors):
    state = load_file(source) | tensors
    save_file(
        {key: value for key, value in state.items() if value is not None}, target, {"faceedit": json.dumps(header)}
    )
    return str(target)


def test_weights_come_back_as_they_were_saved(tiny_weights):
    weights = load_weights(str(tiny_weights))
    assert weights.model.config == TINY
    assert weights.training == {"steps": 0}
    assert len(weights.sha256) == 64
    assert weights.support.covers(0.5, 0)
    assert not weights.support.covers(-0.5, 0)
    assert all(parameter.dtype == torch.float32 for parameter in weights.model.parameters())
    assert tiny_weights.stat().st_size < 2.5 * sum(p.numel() for p in weights.model.parameters()) + 40_000


@pytest.mark.parametrize("keep", [0, 5, 100, 5_000, -1])
def test_truncated_weights_are_refused(tiny_weights, tmp_path, keep):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(tiny_weights.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"cut\.safetensors is damaged"):
        load_weights(str(path))


def test_every_tensor_must_fit(tiny_weights, tmp_path):
    header = header_of(tiny_weights)
    name = "encoder.to_z.bias"
    for change in ({name: None}, {name: torch.zeros(9)}, {"extra": torch.zeros(1)}, {"support": torch.zeros(3, 3)}):
        path = rewrite(tiny_weights, tmp_path / "changed.safetensors", header, **change)
        with pytest.raises(WeightsError, match="does not fit"):
            load_weights(path)


def test_tensors_under_their_earlier_names_are_found(tmp_path):
    save_weights(tmp_path / "now.safetensors", build(TINY_WARP), Support.from_affect(np.zeros((1, 2))), {})
    state, earlier = load_file(tmp_path / "now.safetensors"), {}
    for name, tensor in state.items():
        old, now = next(((old, now) for old, now in RENAMED.items() if name.startswith(now)), ("", ""))
        earlier[old + name.removeprefix(now)] = tensor.clone()
    assert sum(any(name.startswith(old) for name in earlier) for old in RENAMED) == 7  # all but the mouth's
    header = {"faceedit": json.dumps(header_of(tmp_path / "now.safetensors"))}
    save_file(earlier, tmp_path / "earlier.safetensors", header)
    model = load_weights(str(tmp_path / "earlier.safetensors")).model
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, state[name].to(tensor))
    save_file(earlier | state, tmp_path / "both.safetensors", header)
    with pytest.raises(WeightsError, match="two names"):
        load_weights(str(tmp_path / "both.safetensors"))


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": 10**7},
        {"image_size": 40.5},
        {"encoder_channels": [10**9] * 4},
        {"encoder_channels": [65536] * 16},
        {"encoder_channels": []},
        {"generator_channels": [4]},
        {"z_dim": -1},
        {"z_dim": 65536},
        {"z_dim": "8"},
        {"surplus": 1},
    ],
)
def test_absurd_configurations_are_refused_before_anything_is_allocated(tiny_weights, tmp_path, change):
    header = {"kind": "caae", "config": asdict(TINY) | change}
    with pytest.raises(WeightsError):
        load_weights(rewrite(tiny_weights, tmp_path / "absurd.safetensors", header))


@pytest.mark.parametrize("tensors", [{"encoder.to_z.bias": torch.int32}, {"support": torch.bfloat16}])
def test_numbers_of_another_kind_are_refused(tiny_weights, tmp_path, tensors):
    state = load_file(tiny_weights)
    tensors = {key: state[key].to(dtype) for key, dtype in tensors.items()}
    with pytest.raises(WeightsError):
        load_weights(rewrite(tiny_weights, tmp_path / "odd.safetensors", header_of(tiny_weights), **tensors))


def test_a_large_image_size_is_refused_where_no_tensor_shows_it(tiny_judge, tmp_path):
    header = header_of(tiny_judge)
    header["config"]["image_size"] = 2**16
    with pytest.raises(WeightsError, match="sizes"):
        load_weights(rewrite(tiny_judge, tmp_path / "large.safetensors", header))


@pytest.mark.parametrize("header", [None, {}, {"config": None}, [], {"config": {}}])
def test_foreign_files_are_refused(tiny_weights, tmp_path, header):
    with pytest.raises(WeightsError):
        load_weights(rewrite(tiny_weights, tmp_path / "foreign.safetensors", header))


def test_unknown_names_say_what_is_known():
    with pytest.raises(WeightsError, match=r"no weights named nothing; known are .*caae-96"):
        find_weights("nothing")
    with pytest.raises(UsageError, match="is a URL"):
        find_weights("https://a.org/w.safetensors")
    with pytest.raises(WeightsError, match="no weights at"):
        find_weights("nowhere/x.safetensors")


def test_loading_weights_does_not_import_the_compiler_of_torch():
    code = "import sys; from faceedit.weights import load_weights; load_weights('warp-96'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" in loaded
    assert not {"torch._dynamo", "sympy"} & set(loaded)


def test_a_large_file_that_is_no_weights_is_not_read_whole(tmp_path):
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: nobody has the memory for it
    with pytest.raises(WeightsError):
        load_weights(str(path))


def test_the_model_card_knows_each_file_by_its_hash_and_size():
    folder = Path(__file__).parents[1] / "weights"
    card = (folder / "MODEL_CARD.md").read_text()
    for path in folder.glob("*.safetensors"):
        section = card.partition(f"\n## {path.name}\n")[2].partition("\n## ")[0]
        assert f"{path.stat().st_size:,} bytes" in section, path.name
        assert sha256(path.read_bytes()).hexdigest() in section, path.name


def test_weights_that_are_no_numbers_are_refused(tiny_weights, tmp_path):
    with safe_open(tiny_weights, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no dict
        header = file.metadata()
    some = next(key for key, tensor in tensors.items() if tensor.is_floating_point())
    tensors[some] = torch.full_like(tensors[some], float("nan"))
    (tmp_path / "nan.safetensors").write_bytes(save(tensors, header))
    with pytest.raises(WeightsError, match="no number"):
        load_weights(str(tmp_path / "nan.safetensors"))
