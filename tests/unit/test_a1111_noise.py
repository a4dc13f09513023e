"""Seeds and noise, against the original's tensors and the generator's published test vectors."""

from __future__ import annotations

import numpy as np
import pytest
from img_open.a1111.noise import ImageNoise, image_seeds, image_subseeds, resolve_seed
from img_open.a1111.philox import PhiloxGenerator, philox
from img_open.base.errors import InvalidRequest, Unsupported


@pytest.mark.golden_cases("a1111_noise")
def test_noise(case, golden):
    import torch

    params = case["params"]
    height_width = params.get("seed_resize_hw")
    noise = ImageNoise(
        params["seeds"],
        params["shape"],
        ensd=params.get("ensd", 0),
        subseeds=params.get("subseeds"),
        strength=params.get("subseed_strength", 0.0),
        seed_resize=tuple(height_width) if height_width else None,
    )
    draws = [noise.first(), *(noise.next() for _ in range(case["output"]["shape"][0] - 1))]
    golden.check(torch.stack(draws).numpy(), case)


@pytest.mark.parametrize("source", ["cpu", "nv"])
def test_an_image_does_not_depend_on_its_batch(source):
    together = ImageNoise([7, 8, 9], (4, 5, 6), source)
    alone = ImageNoise([8], (4, 5, 6), source)
    assert (together.first()[1] == alone.first()[0]).all()
    assert (together.next()[1] == alone.next()[0]).all()


def test_next_without_first_is_the_first():
    assert (ImageNoise([3], (4, 2, 2)).next() == ImageNoise([3], (4, 2, 2)).first()).all()


def test_parallel_variation_is_mixed_linearly():
    same = ImageNoise([5], (4, 4, 4), subseeds=[5], strength=0.4).first()
    assert same.numpy() == pytest.approx(ImageNoise([5], (4, 4, 4)).first().numpy(), abs=1e-6)


def test_seed_resize_keeps_the_middle_of_a_larger_drawing():
    small = ImageNoise([5], (4, 4, 4), seed_resize=(64, 48)).first()[0]
    drawn = ImageNoise([5], (4, 8, 6)).first()[0]
    assert (small == drawn[:, 2:6, 1:5]).all()


# "Known answer tests" that the authors of Philox publish with their reference library (Random123), 10 rounds.
@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(counter, key, expected):
    assert philox(np.array(counter, np.uint32).reshape(4, 1), key)[:, 0].tolist() == list(expected)


def test_nv_noise_is_what_torch_draws_on_cuda():
    # torch.manual_seed(0); torch.randn(8, device="cuda")
    expected = [
        -0.92466259,
        -0.42534415,
        -2.6438457,
        0.14518388,
        -0.12086473,
        -0.57972564,
        -0.62285122,
        -0.32838709,
    ]
    assert PhiloxGenerator(0).normal((8,)) == pytest.approx(expected, abs=1e-5)


def test_nv_noise_is_normal_and_goes_on():
    generator = PhiloxGenerator(2**40 + 5)
    first, second = generator.normal((4, 64, 64)), generator.normal((4, 64, 64))
    assert first.dtype == np.float32
    assert abs(float(first.mean())) < 0.03
    assert float(first.std()) == pytest.approx(1, abs=0.03)
    assert abs(float(np.corrcoef(first.ravel(), second.ravel())[0, 1])) < 0.03


def test_gpu_noise_against_nv_where_there_is_a_gpu():
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(Unsupported, match="nv"):
            ImageNoise([1], (4, 2, 2), "gpu")
        return
    for _ in range(2):
        gpu, nv = ImageNoise([1, 2**33], (4, 64, 64), "gpu"), ImageNoise([1, 2**33], (4, 64, 64), "nv")
        assert gpu.first().numpy() == pytest.approx(nv.first().numpy(), abs=1e-4)
        assert gpu.next().numpy() == pytest.approx(nv.next().numpy(), abs=1e-4)


def test_unknown_source_and_no_seed():
    with pytest.raises(InvalidRequest, match="noise source"):
        ImageNoise([1], (4, 2, 2), "tpu")
    with pytest.raises(InvalidRequest, match="seed"):
        ImageNoise([], (4, 2, 2))


@pytest.mark.parametrize(
    ("given", "seed"),
    [
        *(("1221212", 1221212), (7, 7), (7.0, 7), (" 9 ", 9), (-2, -2), (0, 0)),
        # Beyond 2**53, where floats are not exact.
        *((2**53 + 1, 2**53 + 1), (str(2**63 - 1), 2**63 - 1), (np.int64(2**62 + 1), 2**62 + 1)),
    ],
)
def test_seeds_are_read(given, seed):
    assert resolve_seed(given) == seed


@pytest.mark.parametrize("given", [-1, "-1", None, "", "  "])
def test_random_seeds_are_of_32_bits(given):
    drawn = {resolve_seed(given) for _ in range(4)}
    assert len(drawn) > 1
    assert all(0 <= seed < 2**32 for seed in drawn)


@pytest.mark.parametrize("given", ["abc", 1.5, True, [1], float("nan"), "1.5", float("inf")])
def test_wrong_seeds(given):
    with pytest.raises(InvalidRequest, match="seed"):
        resolve_seed(given)


def test_seeds_of_the_images():
    assert image_seeds(10, 3) == [10, 11, 12]
    assert image_seeds(10, 3, strength=0.5) == [10, 10, 10]
    assert image_subseeds(4, 2) == [4, 5]
