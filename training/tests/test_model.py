from dataclasses import replace

import pytest
import torch

from tteview_train.model import SlowFast, TimeConv, convolve_in_blocks, count_parameters
from tteview_train.model_config import CAUSAL, CENTRED, ModelConfig, build_preset
from tteview_train.weights import load_pretrained

TINY = ModelConfig(num_classes=5, width=8, blocks=(1, 1, 1, 1), beta_inv=2, size_px=32)


def build_network(config, seed=0):
    """Builds a network in which every layer affects the output.

    The normalisation layers have random statistics and parameters.
    """
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


def compute_chunks(model, fast):
    with torch.no_grad():
        return model.compute_chunk_logits(fast[:, :, :: model.config.alpha], fast)


def draw_samples(config, chunks, seed=1):
    generator = torch.Generator().manual_seed(seed)
    shape = (1, config.in_channels, chunks * config.alpha, config.size_px, config.size_px)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("time", [CAUSAL, CENTRED])
@pytest.mark.parametrize("channels", [(1, 2), (3, 4)])
@pytest.mark.parametrize("block", [1, 2, 4, 6])
def test_a_convolution_in_blocks_gives_the_same_result(time, channels, block):
    torch.manual_seed(0)
    conv = TimeConv(*channels, (5, 7, 7), (1, 2, 2), time).double()
    x = torch.randn(2, channels[0], 12, 17, 20, dtype=torch.float64, requires_grad=True)
    plain, blocked = conv(x), convolve_in_blocks(conv, x, block)
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
        replace(TINY, lateral_kernel=9),
        replace(TINY, lateral_reach=1),
        replace(TINY, lateral_reach=2),
        replace(TINY, lateral_kernel=7, lateral_reach=3),
    ],
    ids=[
        "blocks 1111",
        "blocks 1221",
        "lateral 7",
        "alpha 2",
        "lateral 9",
        "reach 1",
        "reach 2",
        "lateral 7 reach 3",
    ],
)
def test_a_chunk_sees_the_look_back_and_no_later_sample(config):
    model = build_network(config).double()
    back, alpha = config.look_back, config.alpha
    chunks = back // alpha + 3
    fast = draw_samples(config, chunks)
    before = compute_chunks(model, fast)
    for sample in (0, alpha, alpha + 1, 2 * alpha - 1):
        moved = fast.clone()
        moved[:, :, sample] += 10
        changed = (compute_chunks(model, moved) - before).abs().amax((0, 2)) > 0
        for chunk in range(chunks):
            first, last = chunk * alpha, chunk * alpha + alpha - 1
            if sample > last or sample < first - back:
                assert not changed[chunk], f"sample {sample} changes chunk {chunk}"
    # The oldest sample of the look-back changes the logits of the chunk.
    chunk = -(-back // alpha)
    oldest = chunk * alpha - back
    moved = fast.clone()
    moved[:, :, oldest] += 10
    assert (compute_chunks(model, moved) - before).abs()[:, chunk].max() > 0


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_a_lateral_connection_reads_as_many_later_samples(reach):
    model = build_network(replace(TINY, lateral_reach=reach)).double()
    lateral = model.blocks[0].multipathway_fusion
    fast = torch.randn(1, TINY.width // TINY.beta_inv, 12, 2, 2, dtype=torch.float64)
    slow = torch.zeros(1, 1, 3, 2, 2, dtype=torch.float64)
    with torch.no_grad():
        before, _ = lateral(slow, fast)
        # Frame 1 of the slow pathway belongs to sample 4.
        for sample in range(12):
            moved = fast.clone()
            moved[:, :, sample] += 10
            changed = bool(((lateral(slow, moved)[0] - before)[:, :, 1] != 0).any())
            assert changed == (reach <= sample <= 4 + reach), sample


def test_the_presets_have_known_look_backs():
    for preset, back in (("slim", 38), ("r50-8x8", 96), ("r50-4x16", 166)):
        config = build_preset(preset, 2)
        assert (config.lateral_reach, config.look_back) == (0, back)
        half = config.lateral_kernel // 2
        assert replace(config, lateral_reach=half).look_back == back - half


def test_lateral_connections_of_a_centred_network_stay_centred():
    for reach in (0, 1, 99):
        config = replace(TINY, time=CENTRED, lateral_kernel=9, lateral_reach=reach)
        assert config.lateral_reach == 4


def test_a_centred_network_looks_ahead():
    config = replace(TINY, time=CENTRED)
    model = build_network(config).double()
    fast = draw_samples(config, 4)
    moved = fast.clone()
    moved[:, :, -1] += 10
    assert (compute_chunks(model, moved) - compute_chunks(model, fast)).abs()[:, 2].max() > 0


@pytest.mark.parametrize("time", ["causal", "centred"])
def test_clip_logits_are_the_mean_of_the_chunk_logits(time):
    config = replace(TINY, time=time)
    model = build_network(config).double()
    fast = draw_samples(config, 5)
    with torch.no_grad():
        whole = model(fast[:, :, ::4], fast)
    assert torch.allclose(compute_chunks(model, fast).mean(1), whole, atol=1e-10)


def test_chunks_do_not_depend_on_how_many_follow():
    model = build_network(TINY).double()
    fast = draw_samples(TINY, 9)
    assert torch.allclose(
        compute_chunks(model, fast)[:, :3], compute_chunks(model, fast[:, :, :12]), atol=1e-10
    )


def draw_kinetics_state(config):
    """Creates a random state dict with PyTorchVideo's names without using the model under test."""
    generator = torch.Generator().manual_seed(7)
    state = {}

    def add_conv(name, *shape):
        state[f"{name}.weight"] = torch.randn(shape, generator=generator)

    def add_norm(name, channels):
        for field in ("weight", "bias", "running_mean"):
            state[f"{name}.{field}"] = torch.randn(channels, generator=generator)
        state[f"{name}.running_var"] = torch.rand(channels, generator=generator) + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(9)

    widths = (config.width, config.width // config.beta_inv)

    def add_fusion(block, fast):
        name = f"blocks.{block}.multipathway_fusion"
        add_conv(f"{name}.conv_fast_to_slow", 2 * fast, fast, config.lateral_kernel, 1, 1)
        add_norm(f"{name}.norm", 2 * fast)

    for pathway, (width, kernel) in enumerate(zip(widths, (1, 5), strict=True)):
        name = f"blocks.0.multipathway_blocks.{pathway}"
        add_conv(f"{name}.conv", width, 3, kernel, 7, 7)
        add_norm(f"{name}.norm", width)
    add_fusion(0, widths[1])
    inputs = [widths[0] + 2 * widths[1], widths[1]]
    for stage in range(4):
        for pathway in (0, 1):
            inner = widths[pathway] * 2**stage
            kernel = 3 if pathway == 1 or stage >= 2 else 1
            for block in range(config.blocks[stage]):
                name = f"blocks.{stage + 1}.multipathway_blocks.{pathway}.res_blocks.{block}"
                if block == 0:
                    add_conv(f"{name}.branch1_conv", 4 * inner, inputs[pathway], 1, 1, 1)
                    add_norm(f"{name}.branch1_norm", 4 * inner)
                add_conv(
                    f"{name}.branch2.conv_a",
                    inner,
                    inputs[pathway] if block == 0 else 4 * inner,
                    kernel,
                    1,
                    1,
                )
                add_conv(f"{name}.branch2.conv_b", inner, inner, 1, 3, 3)
                add_conv(f"{name}.branch2.conv_c", 4 * inner, inner, 1, 1, 1)
                for letter, channels in (("a", inner), ("b", inner), ("c", 4 * inner)):
                    add_norm(f"{name}.branch2.norm_{letter}", channels)
            inputs[pathway] = 4 * inner
        if stage < 3:
            add_fusion(stage + 1, inputs[1])
            inputs[0] += 2 * inputs[1]
    state["blocks.6.proj.weight"] = torch.randn(400, sum(inputs), generator=generator)
    state["blocks.6.proj.bias"] = torch.randn(400, generator=generator)
    return state


@pytest.mark.parametrize("time", ["causal", "centred"])
def test_kinetics_weights_initialise_a_grey_network(time):
    config = replace(TINY, time=time, blocks=(1, 2, 1, 1))
    state = draw_kinetics_state(config)
    model = SlowFast(config)
    assert load_pretrained(model, state) == ["blocks.6.proj.weight", "blocks.6.proj.bias"]
    name = "blocks.2.multipathway_blocks.1.res_blocks.1.branch2.conv_b.weight"
    assert torch.equal(model.state_dict()[name], state[name])
    colour = SlowFast(replace(config, in_channels=3, num_classes=400)).eval()
    assert load_pretrained(colour, state) == []
    model.head.proj = colour.head.proj
    fast = draw_samples(config, 2).float()
    with torch.no_grad():
        grey = model.eval()(fast[:, :, ::4], fast)
        rgb = fast.expand(-1, 3, -1, -1, -1)
        assert torch.allclose(
            grey, colour(rgb[:, :, ::4], rgb), rtol=1e-3, atol=1e-3 * float(grey.abs().max())
        )


def test_grey_weights_initialise_a_colour_network():
    grey, colour = SlowFast(TINY).eval(), SlowFast(replace(TINY, in_channels=3)).eval()
    assert load_pretrained(colour, grey.state_dict()) == []
    fast = draw_samples(TINY, 2).float()
    rgb = fast.expand(-1, 3, -1, -1, -1)
    with torch.no_grad():
        expected = grey(fast[:, :, ::4], fast)
        logits = colour(rgb[:, :, ::4], rgb)
    assert torch.allclose(expected, logits, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_weights_that_do_not_fit_are_named():
    state = draw_kinetics_state(TINY)
    del state["blocks.3.multipathway_blocks.0.res_blocks.0.branch2.conv_a.weight"]
    state["blocks.9.extra"] = torch.zeros(1)
    state["blocks.0.multipathway_fusion.norm.bias"] = torch.zeros(99)
    with pytest.raises(ValueError, match="do not fit") as error:
        load_pretrained(SlowFast(TINY), state)
    for part in ("missing: blocks.3", "unknown: blocks.9.extra", "norm.bias: shape must be"):
        assert part in str(error.value)


def test_a_head_with_other_features_is_refused():
    state = draw_kinetics_state(TINY)
    state["blocks.6.proj.weight"] = torch.zeros(400, 7)
    with pytest.raises(ValueError, match=r"proj\.weight"):
        load_pretrained(SlowFast(TINY), state)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time": "both"}, "time must be causal or centred, got 'both'"),
        ({"lateral_kernel": 4}, "must be odd, got 4"),
        ({"lateral_reach": -1}, "lateral_reach must be 0 to 3, got -1"),
        ({"lateral_reach": 4}, "lateral_reach must be 0 to 3, got 4"),
        ({"lateral_kernel": 3, "lateral_reach": 3}, "lateral_reach must be 0 to 2, got 3"),
        ({"width": 13}, "must be a multiple of 2, got 13"),
        ({"blocks": (1, 1, 1)}, "blocks must be four numbers"),
        ({"in_channels": 2}, "in_channels must be 1 or 3, got 2"),
    ],
)
def test_an_invalid_configuration_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(TINY, **change)


def test_r50_has_as_many_parameters_as_pytorchvideo():
    # PyTorchVideo's model card gives 34.57 M parameters for 400 classes.
    with torch.device("meta"):
        model = SlowFast(build_preset("r50-8x8", 400, in_channels=3))
    assert round(count_parameters(model) / 1e6, 2) == 34.57
