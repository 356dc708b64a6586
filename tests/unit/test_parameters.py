"""Encryption parameters: the security table, the primes, and scales that land exactly."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from heclstm.circuit.parameters import (
    LEVEL_MIN,
    MAX_LOG_QP_128,
    Parameters,
    _nearest_prime,
    check_security,
    choose,
    is_prime,
)
from heclstm.errors import FileFormatError, ParameterError, SecurityError
from heclstm.storage.typed import plain, typed

# log2 of the largest QP for 128 bits, uniform ternary secret, σ = 3.19: Bossuat et al., ia.cr/2024/463.
TABLE = {10: 26, 11: 53, 12: 106, 13: 214, 14: 430, 15: 868, 16: 1747, 17: 3523}
RINGS = ("conjugate_invariant", "standard")

# A ring, its depth, and its scale: what programs use, at its deepest.
CHAINS = [(13, 3, 29.0), (14, 10, 29.0), (15, 20, 29.0), (15, 23, 28.0), (15, 19, 29.5)]


def small(depth=3, **changes):
    settings = {"slots_min": 1, "ring_degree": 1024, "special_count": 2, "security": "INSECURE_TEST"}
    return choose(depth, **{**settings, **changes})


# ── security ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_security_table_is_the_published_one():
    assert MAX_LOG_QP_128 == TABLE


@pytest.mark.parametrize(("log_degree", "allowed"), TABLE.items())
def test_every_row_passes_up_to_its_bound_and_refuses_beyond(log_degree, allowed):
    at = SimpleNamespace(lattice_degree=1 << log_degree, log_qp=float(allowed))
    check_security(at)
    above = SimpleNamespace(lattice_degree=1 << log_degree, log_qp=math.nextafter(allowed, math.inf))
    with pytest.raises(SecurityError, match=rf"ring degree 2\^{log_degree}: .* at most {allowed} keeps 128 bits"):
        check_security(above)


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize(("log_degree", "allowed"), list(TABLE.items())[2:-1])  # 2^17 has too few such primes
def test_parameters_just_above_a_row_are_refused(ring, log_degree, allowed):
    """As many 30-bit primes as fit are accepted; one more is not. Both rings are read at N, the safe choice."""
    order = (1 << log_degree) * (4 if ring == "conjugate_invariant" else 2)
    count = allowed // 30
    primes, used = [], set()
    for _ in range(count + 1):
        primes.append(_nearest_prime((1 << 30) - order, order, used))
        used.add(primes[-1])

    def build(number):
        moduli, special = tuple(primes[1:number]), (primes[0],)
        return Parameters(ring, 1 << log_degree, moduli, special, (2.0**29,) * len(moduli))

    fitting = build(count)
    assert fitting.lattice_degree == 1 << log_degree
    assert allowed - 30 < fitting.log_qp <= allowed
    with pytest.raises(SecurityError, match=rf"at most {allowed} keeps 128 bits; use fewer levels"):
        build(count + 1)


def test_rings_below_the_table_are_never_secure():
    with pytest.raises(SecurityError, match=r"ring degree 2\^9"):
        replace(small(ring_degree=512), security="128")


def test_only_an_insecure_ring_that_says_so_is_accepted():
    assert small().security == "INSECURE_TEST"
    with pytest.raises(SecurityError, match=r"log2\(QP\) is 2\d\d\.\d, at most 26"):
        replace(small(), security="128")
    with pytest.raises(ParameterError, match="security: got 'none', expected '128' or 'INSECURE_TEST'"):
        replace(small(), security="none")


# ── primes and scales ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize(("log_degree", "depth", "scale_bits"), CHAINS)
def test_primes_are_distinct_below_2_30_and_fit_the_ntt(ring, log_degree, depth, scale_bits):
    parameters = choose(depth, slots_min=1, ring=ring, ring_degree=1 << log_degree, scale_bits=scale_bits)
    primes = parameters.moduli + parameters.special_moduli
    assert len(set(primes)) == len(primes)
    assert all(prime < 1 << 30 and is_prime(prime) for prime in primes)
    # a primitive root of order 2N for the standard ring of degree N; the real ring of N lies in that of 2N
    order = (2 if ring == "standard" else 4) << log_degree
    assert all(prime % order == 1 for prime in primes)
    assert len(parameters.moduli) == depth + LEVEL_MIN + 1


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize(("log_degree", "depth", "scale_bits"), CHAINS)
def test_scales_stay_near_their_nominal_value_and_land_exactly(ring, log_degree, depth, scale_bits):
    """Δ_{l−1} = Δ_l² / q_l to the last bit, and within 2^0.1 of 2^scale_bits on every level."""
    parameters = choose(depth, slots_min=1, ring=ring, ring_degree=1 << log_degree, scale_bits=scale_bits)
    for level in range(parameters.max_level, LEVEL_MIN, -1):
        assert parameters.scales[level - 1] == parameters.scales[level] ** 2 / parameters.moduli[level]
    assert max(abs(math.log2(scale) - scale_bits) for scale in parameters.scales) <= 0.1
    assert parameters.scales[parameters.max_level] == 2.0**scale_bits


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_special_primes_exceed_every_digit(count):
    """P is the product of the largest primes, a digit of as many smaller ones, so noise is divided."""
    parameters = small(12, special_count=count)
    special = math.prod(parameters.special_moduli)
    for start in range(0, len(parameters.moduli), count):
        assert math.prod(parameters.moduli[start : start + count]) < special
    assert parameters.digit_count == math.ceil(len(parameters.moduli) / count)


@pytest.mark.parametrize("scale_bits", [5, 18, 20, 30, 31, 40])
def test_a_scale_that_no_chain_of_primes_can_hold_is_refused(scale_bits):
    """At N = 2^15 primes are 2^17 apart: near 2^20 too coarse, near 2^18 absent, and none may pass 2^30."""
    with pytest.raises(ParameterError, match="scale"):
        choose(
            15,
            slots_min=1,
            ring_degree=1 << 15,
            special_count=4,
            scale_bits=scale_bits,
            security="INSECURE_TEST",
        )


@pytest.mark.parametrize(
    ("number", "prime"),
    [(0, False), (1, False), (2, True), (17, True), (91, False), (2**30 - 35, True), (2**30 - 1, False),
     (3215031751, False), (2152302898747, False), (3_400_000_000_000, False)],
)  # fmt: skip
def test_primes_are_told_from_pseudoprimes(number, prime):
    """3215031751 fools the bases 2, 3, 5, 7 and 2152302898747 also 11 (Jaeschke 1993)."""
    assert is_prime(number) == prime


# ── the choice ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("depth", "log_degree"), [(3, 13), (10, 14), (20, 15), (40, 16)])
def test_the_smallest_secure_ring_is_chosen(depth, log_degree):
    parameters = choose(depth, slots_min=1)
    assert parameters.ring_degree == 1 << log_degree
    with pytest.raises(ParameterError, match=rf"at most {TABLE[log_degree - 1]} keeps 128 bits"):
        choose(depth, slots_min=1, ring_degree=1 << (log_degree - 1))


def test_a_ring_has_the_slots_that_are_asked_for():
    """N real slots in the conjugate-invariant ring, N/2 in the standard one."""
    assert choose(1, slots_min=1 << 14).ring_degree == 1 << 14
    assert choose(1, slots_min=1 << 14, ring="standard").ring_degree == 1 << 15
    for ring in RINGS:
        assert choose(1, slots_min=1 << 14, ring=ring).slots == 1 << 14


def test_a_depth_that_no_ring_holds_says_how_much_and_what_to_change():
    with pytest.raises(ParameterError) as raised:
        choose(150, slots_min=1)
    text = str(raised.value)
    assert "no ring up to 2^17 holds 150 levels at a scale of 29.0 bits" in text
    assert "at most 3523" in text
    assert "shorten the sequence, lower the gate degree, or lower scale_bits" in text


def test_a_depth_that_the_wanted_ring_does_not_hold_names_that_ring():
    """The remedy is a larger ring, which exists: the message must not claim that none does."""
    with pytest.raises(ParameterError, match=r"at most 430 keeps 128 bits") as raised:
        choose(20, slots_min=1, ring_degree=1 << 14)
    assert "no ring up to 2^17" not in str(raised.value)
    assert "20 levels" in str(raised.value)


def test_too_many_slots_say_so():
    with pytest.raises(ParameterError, match="262144 slots .*too few slots"):
        choose(2, slots_min=1 << 18)


# ── what is refused on creation ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ring": "complex"}, "ring: got 'complex', expected 'conjugate_invariant' or 'standard'"),
        ({"ring_degree": 1000}, "ring_degree: got 1000, expected a power of two"),
        ({"ring_degree": 8}, "ring_degree: got 8, expected"),
        ({"ring_degree": 1 << 18}, "ring_degree: got 262144, expected"),
        ({"special_moduli": ()}, "moduli: got 5 and 0 special, expected at least 2 and 1"),
        ({"moduli": (12289,)}, "moduli: got 1 and 2 special, expected at least 2 and 1"),
        ({"scales": (2.0**29,) * 3}, "scales: got 3, expected one per level: 5"),
        ({"scales": (0.0,) * 5}, "scales"),
        ({"scales": (-1.0,) * 5}, "scales"),
        ({"scales": (math.nan,) * 5}, "scales"),
        ({"scales": (math.inf,) * 5}, "scales"),
    ],
)
def test_inconsistent_parameters_are_refused(changes, message):
    with pytest.raises(ParameterError, match=message.replace("2^", r"2\^")):
        replace(small(), **changes)


def test_a_wrong_prime_is_refused():
    parameters = small()
    first, *rest = parameters.moduli
    composite = next(n for n in range(4097, 1 << 30, 4096) if not is_prime(n))
    too_large = next(n for n in range((1 << 30) + 1, 1 << 31, 4096) if is_prime(n))
    for wrong in (composite, too_large, 1000003):  # the last is a prime that the NTT has no roots for
        with pytest.raises(ParameterError, match=rf"{wrong} is no prime below 2\^30 that is 1 modulo 4096"):
            replace(parameters, moduli=(wrong, *rest))
    with pytest.raises(ParameterError, match="a prime occurs twice"):
        replace(parameters, special_moduli=(first,))


def test_every_key_is_measured_against_the_table():
    """A key of level l is modulo Q_l·P_k: with few special primes at the top, a lower level may have more of them."""
    below = choose(19, slots_min=1, special_count=7)
    primes, used = [], {*below.moduli, *below.special_moduli}
    while len(primes) < 6:
        primes.append(_nearest_prime((1 << 30) - below.ntt_order, below.ntt_order, used))
        used.add(primes[-1])
    special = (*below.special_moduli, *primes)
    counts = [7] * len(below.moduli)
    counts[10] = 13
    wide = replace(below, special_moduli=special, special_counts=tuple(counts))
    assert wide.log_qp_at(10) == pytest.approx(math.log2(math.prod((*below.moduli[:11], *special))), abs=1e-9)
    assert wide.log_qp == max(map(wide.log_qp_at, range(len(counts)))) <= TABLE[15] < wide.log_qp_at(20) + 6 * 29.9
    for level in (18, 20):
        counts[level] = 13
        with pytest.raises(SecurityError, match=r"ring degree 2\^15: log2\(QP\) is \d+\.\d, at most 868"):
            replace(wide, special_counts=tuple(counts))
        counts[level] = 7


@pytest.mark.parametrize("counts", [(0,) * 4, (3,) * 4, (1, 1)])
def test_numbers_of_special_primes_that_there_are_not(counts):
    with pytest.raises(ParameterError, match="special_counts: got"):
        replace(small(depth=2), special_counts=counts)


@pytest.mark.parametrize("ring", RINGS)
def test_json_describes_parameters_wholly(ring):
    parameters = choose(10, slots_min=1, ring=ring)
    assert typed(json.loads(json.dumps(plain(parameters))), Parameters, "parameters") == parameters
    assert parameters.to_json() | {"special_counts": []} == json.loads(
        json.dumps(plain(parameters))
    )  # left out where it says nothing
    assert "special_counts" not in parameters.to_json()
    by_level = replace(parameters, special_counts=(1,) * len(parameters.moduli))
    assert typed(json.loads(json.dumps(by_level.to_json())), Parameters, "parameters") == by_level


@pytest.mark.parametrize(
    "change",
    [
        {"ring": None},
        {"moduli": None},
        {"moduli": ["q"]},
        {"scales": 3},
        {"ring_degree": "large"},
        {"ring_degree": 1024.5},  # not silently 1024
        {"ring_degree": True},
        {"security": "low"},
    ],
)
def test_json_with_a_wrong_field_is_refused(change):
    with pytest.raises(FileFormatError, match=f"parameters: .*{next(iter(change))}"):
        typed({**small().to_json(), **change}, Parameters, "parameters")


@pytest.mark.parametrize("name", ["ring", "ring_degree", "moduli", "special_moduli", "scales"])
def test_json_with_a_missing_field_is_refused(name):
    data = small().to_json()
    del data[name]
    with pytest.raises(FileFormatError, match=f"missing required field `{name}`"):
        typed(data, Parameters, "parameters")


def test_nobody_says_insecure_by_leaving_it_out():
    data = small().to_json()
    del data["security"]
    with pytest.raises(SecurityError, match="at most 26 keeps 128 bits"):
        typed(data, Parameters, "parameters")


def test_absurdly_many_primes_are_refused_before_each_is_looked_at():
    with pytest.raises(ParameterError, match="got 100000, expected at most 256 primes in all"):
        replace(small(), moduli=(7,) * 100_000)
