from dataclasses import replace

import pytest
import torch

from tteview_train.model import (
    CAUSAL,
    CENTRED,
    ModelConfig,
    SlowFast,
    TimeConv,
    blocked_in_time,
    look_back,
    parameter_count,
    preset,
)
from tteview_train.weights import load_pretrained

TINY = ModelConfig(num_classes=5, width=8, blocks=(1, 1, 1, 1), beta_inv=2, size_px=32)


def made(config, seed=0):
    """A network in which every layer matters: random statistics and affine parameters of the norms."""
    torch.manual_seed(seed)
    model = SlowFast(config).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    torch.nn.init.normal_(model.head.proj.weight)
    return model


def chunks_of(model, fast):
    with torch.no_grad():
        return model.chunk_logits(fast[:, :, :: model.config.alpha], fast)


def clip(config, chunks, seed=1):
    generator = torch.Generator().manual_seed(seed)
    shape = (1, config.in_channels, chunks * config.alpha, config.size_px, config.size_px)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("time", [CAUSAL, CENTRED])
@pytest.mark.parametrize("channels", [(1, 2), (3, 4)])
@pytest.mark.parametrize("block", [1, 2, 4, 6])
def test_a_stem_blocked_in_time_is_the_same_convolution(time, channels, block):
    torch.manual_seed(0)
    conv = TimeConv(*channels, (5, 7, 7), (1, 2, 2), time).double()
    x = torch.randn(2, channels[0], 12, 17, 20, dtype=torch.float64, requires_grad=True)
    plain, blocked = conv(x), blocked_in_time(conv, x, block)
    assert torch.allclose(plain, blocked, rtol=0, atol=1e-12)
    weights = torch.randn_like(plain)
    for a, b in zip(
        *(torch.autograd.grad(y, (x, conv.weight), weights) for y in (plain, blocked)), strict=True
    ):
        assert torch.allclose(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        replace(TINY, blocks=(1, 2, 2, 1)),
        replace(TINY, lateral_kernel=7),
        replace(TINY, alpha=2, lateral_kernel=3),
    ],
    ids=["blocks 1111", "blocks 1221", "lateral 7", "alpha 2"],
)
def test_the_look_back_is_exact_and_no_chunk_sees_a_later_sample(config):
    model = made(config).double()
    back, alpha = look_back(config), config.alpha
    chunks = back // alpha + 3
    fast = clip(config, chunks)
    before = chunks_of(model, fast)
    for sample in (0, alpha, alpha + 1, 2 * alpha - 1):
        moved = fast.clone()
        moved[:, :, sample] += 10
        changed = (chunks_of(model, moved) - before).abs().amax((0, 2)) > 0
        for chunk in range(chunks):
            first, last = chunk * alpha, chunk * alpha + alpha - 1
            if sample > last or sample < first - back:
                assert not changed[chunk], f"sample {sample} changes chunk {chunk}"
    # The oldest sample that the look-back names does count: alpha times some chunk less the look-back.
    chunk = -(-back // alpha)
    oldest = chunk * alpha - back
    moved = fast.clone()
    moved[:, :, oldest] += 10
    assert (chunks_of(model, moved) - before).abs()[:, chunk].max() > 0


def test_look_back_of_the_presets():
    assert look_back(preset("r50-8x8", 2)) == 93
    assert look_back(preset("r50-4x16", 2)) == 164
    assert look_back(preset("slim", 2)) < 48


def test_a_centred_network_does_look_ahead():
    config = replace(TINY, time=CENTRED)
    model = made(config).double()
    fast = clip(config, 4)
    moved = fast.clone()
    moved[:, :, -1] += 10
    assert (chunks_of(model, moved) - chunks_of(model, fast)).abs()[:, 2].max() > 0


@pytest.mark.parametrize("time", ["causal", "centred"])
def test_the_mean_of_chunk_logits_is_the_logits_of_the_clip(time):
    config = replace(TINY, time=time)
    model = made(config).double()
    fast = clip(config, 5)
    with torch.no_grad():
        whole = model(fast[:, :, ::4], fast)
    assert torch.allclose(chunks_of(model, fast).mean(1), whole, atol=1e-10)


def test_samples_before_the_start_count_as_zero_in_every_layer():
    # What the streaming step does with zero states: chunks do not depend on how many follow.
    model = made(TINY).double()
    fast = clip(TINY, 9)
    assert torch.allclose(chunks_of(model, fast)[:, :3], chunks_of(model, fast[:, :, :12]), atol=1e-10)


def kinetics(config):
    """A made-up state dict in PyTorchVideo's names, written without our model."""
    generator = torch.Generator().manual_seed(7)
    state = {}

    def conv(name, *shape):
        state[f"{name}.weight"] = torch.randn(shape, generator=generator)

    def norm(name, channels):
        for field in ("weight", "bias", "running_mean"):
            state[f"{name}.{field}"] = torch.randn(channels, generator=generator)
        state[f"{name}.running_var"] = torch.rand(channels, generator=generator) + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(9)

    widths = (config.width, config.width // config.beta_inv)

    def fusion(block, fast):
        name = f"blocks.{block}.multipathway_fusion"
        conv(f"{name}.conv_fast_to_slow", 2 * fast, fast, config.lateral_kernel, 1, 1)
        norm(f"{name}.norm", 2 * fast)

    for pathway, (width, kernel) in enumerate(zip(widths, (1, 5), strict=True)):
        name = f"blocks.0.multipathway_blocks.{pathway}"
        conv(f"{name}.conv", width, 3, kernel, 7, 7)
        norm(f"{name}.norm", width)
    fusion(0, widths[1])
    inputs = [widths[0] + 2 * widths[1], widths[1]]
    for stage in range(4):
        for pathway in (0, 1):
            inner = widths[pathway] * 2**stage
            kernel = 3 if pathway == 1 or stage >= 2 else 1
            for block in range(config.blocks[stage]):
                name = f"blocks.{stage + 1}.multipathway_blocks.{pathway}.res_blocks.{block}"
                if block == 0:
                    conv(f"{name}.branch1_conv", 4 * inner, inputs[pathway], 1, 1, 1)
                    norm(f"{name}.branch1_norm", 4 * inner)
                conv(
                    f"{name}.branch2.conv_a",
                    inner,
                    inputs[pathway] if block == 0 else 4 * inner,
                    kernel,
                    1,
                    1,
                )
                conv(f"{name}.branch2.conv_b", inner, inner, 1, 3, 3)
                conv(f"{name}.branch2.conv_c", 4 * inner, inner, 1, 1, 1)
                for letter, channels in (("a", inner), ("b", inner), ("c", 4 * inner)):
                    norm(f"{name}.branch2.norm_{letter}", channels)
            inputs[pathway] = 4 * inner
        if stage < 3:
            fusion(stage + 1, inputs[1])
            inputs[0] += 2 * inputs[1]
    state["blocks.6.proj.weight"] = torch.randn(400, sum(inputs), generator=generator)
    state["blocks.6.proj.bias"] = torch.randn(400, generator=generator)
    return state


@pytest.mark.parametrize("time", ["causal", "centred"])
def test_a_kinetics_state_dict_initialises_a_grey_network_of_other_classes(time):
    config = replace(TINY, time=time, blocks=(1, 2, 1, 1))
    state = kinetics(config)
    model = SlowFast(config)
    assert load_pretrained(model, state) == ["blocks.6.proj.weight", "blocks.6.proj.bias"]
    name = "blocks.2.multipathway_blocks.1.res_blocks.1.branch2.conv_b.weight"
    assert torch.equal(model.state_dict()[name], state[name])
    colour = SlowFast(replace(config, in_channels=3, num_classes=400)).eval()
    assert load_pretrained(colour, state) == []
    model.head.proj = colour.head.proj
    fast = clip(config, 2).float()
    with torch.no_grad():
        grey = model.eval()(fast[:, :, ::4], fast)
        rgb = fast.expand(-1, 3, -1, -1, -1)
        assert torch.allclose(
            grey, colour(rgb[:, :, ::4], rgb), rtol=1e-3, atol=1e-3 * float(grey.abs().max())
        )


def test_weights_that_do_not_fit_are_named():
    state = kinetics(TINY)
    del state["blocks.3.multipathway_blocks.0.res_blocks.0.branch2.conv_a.weight"]
    state["blocks.9.extra"] = torch.zeros(1)
    state["blocks.0.multipathway_fusion.norm.bias"] = torch.zeros(99)
    with pytest.raises(ValueError, match="do not fit") as error:
        load_pretrained(SlowFast(TINY), state)
    for part in ("missing: blocks.3", "not known: blocks.9.extra", "norm.bias: (99,)"):
        assert part in str(error.value)


def test_a_head_of_other_features_is_refused():
    state = kinetics(TINY)
    state["blocks.6.proj.weight"] = torch.zeros(400, 7)
    with pytest.raises(ValueError, match=r"proj\.weight"):
        load_pretrained(SlowFast(TINY), state)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time": "both"}, "time"),
        ({"lateral_kernel": 4}, "odd"),
        ({"lateral_kernel": 9}, "chunk"),
        ({"width": 13}, "multiple"),
        ({"blocks": (1, 1, 1)}, "blocks"),
        ({"in_channels": 2}, "channels"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(TINY, **change)


def test_r50_has_the_parameters_of_the_paper_s_network():
    # PyTorchVideo's model card: 34.57 M parameters with 400 classes.
    with torch.device("meta"):
        model = SlowFast(preset("r50-8x8", 400, in_channels=3))
    assert round(parameter_count(model) / 1e6, 2) == 34.57
