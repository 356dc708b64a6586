"""Encryption parameters: ring, modulus chain, scales, and the security table that bounds them.

The scale is a function of the level. With a ciphertext at level l and scale Δ_l, a product has scale
Δ_l² and its rescale divides by q_l, so the next level's scale is *defined* as Δ_{l-1} = Δ_l² / q_l, and
every plaintext is encoded at the scale that lands there exactly. Left alone, a deviation of Δ_l from its
nominal value would double at each level; `choose` picks each prime nearest to Δ_l² / Δ, so that the
deviation is taken back at once and stays within the spacing of the primes.
(The ladder follows Kim, Papadimitriou, Polyakov, ia.cr/2020/1118.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

from heclstm.errors import ParameterError, SecurityError

RingType = Literal["conjugate_invariant", "standard"]
Security = Literal["128", "INSECURE_TEST"]

# log2 of the largest QP, special primes included, for 128 bits of classical security with a uniform ternary
# secret and σ = 3.19. Bossuat et al., "Security Guidelines for Implementing Homomorphic Encryption",
# ia.cr/2024/463, table 5.2. The degree is that of the lattice: see `Parameters.lattice_degree`.
MAX_LOG_QP_128 = {10: 26, 11: 53, 12: 106, 13: 214, 14: 430, 15: 868, 16: 1747, 17: 3523}

PRIME_BITS_MAX = 30  # every prime is below 2^30: half the bytes on the wire, 16 products fit into 64 bits
PRIMES_MAX = 256  # 2^17 has room for 125 of 28 bits
SPECIAL_COUNT_MAX = 15  # a digit has as many primes as P, and sums of their carries must fit 64 bits
LEVEL_MIN = 1  # the base is two primes: one alone could not hold a value at a scale of 28–30 bits
SHORTEST_TRANSFORM = 16  # numbers of a limb that the engine transforms at once, at least
SCALE_BITS_DEFAULT = 29.0
LOG_SLACK = 0.1  # bits: with other special primes, the moduli are others, by less than this in all
SCALE_DRIFT_MAX = 0.5  # bits between a level's scale and the wanted one


@dataclass(frozen=True)
class Parameters:
    """CKKS parameters of one program.

    moduli: q_0 … q_L, primes below 2^30; level l uses q_0 … q_l; programs end at level 1.
    special_moduli: the primes of P, used by key switching only.
    scales: Δ_0 … Δ_L; Δ_l is the scale of every ciphertext at level l.
    special_counts: for each level l, how many of the special primes, from the first on, an evaluation key of that level
        has, k_l; empty for all of them. Its digits have k_l primes each, so the fewer primes are left, the fewer digits
        are needed: log2(Q_l P_{k_l}) is what the security table bounds.
    """

    ring: RingType
    ring_degree: int
    moduli: tuple[int, ...]
    special_moduli: tuple[int, ...]
    scales: tuple[float, ...]
    security: Security = "128"
    special_counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.ring not in ("conjugate_invariant", "standard"):
            raise ParameterError(f"ring: got {self.ring!r}, expected 'conjugate_invariant' or 'standard'")
        if self.ring_degree < 16 or self.ring_degree & (self.ring_degree - 1) or self.ring_degree > 1 << 17:
            raise ParameterError(f"ring_degree: got {self.ring_degree}, expected a power of two in 2^4 … 2^17")
        if len(self.moduli) < LEVEL_MIN + 1 or not self.special_moduli:
            raise ParameterError(
                f"moduli: got {len(self.moduli)} and {len(self.special_moduli)} special, expected at least 2 and 1"
            )
        if len(self.moduli) + len(self.special_moduli) > PRIMES_MAX:
            raise ParameterError(f"moduli: got {len(self.moduli)}, expected at most {PRIMES_MAX} primes in all")
        if len(self.special_moduli) > SPECIAL_COUNT_MAX:
            raise ParameterError(
                f"special_moduli: got {len(self.special_moduli)}, expected at most {SPECIAL_COUNT_MAX}"
            )
        if len(self.scales) != len(self.moduli):
            raise ParameterError(f"scales: got {len(self.scales)}, expected one per level: {len(self.moduli)}")
        if self.special_counts and len(self.special_counts) != len(self.moduli):
            raise ParameterError(
                f"special_counts: got {len(self.special_counts)}, expected none, or one per level: {len(self.moduli)}"
            )
        if not all(1 <= count <= len(self.special_moduli) for count in self.special_counts):
            raise ParameterError(f"special_counts: got one that is not among 1 … {len(self.special_moduli)}")
        if not all(0 < scale < math.inf for scale in self.scales):
            raise ParameterError("scales: got one that is not a positive number, expected about 2^29 on every level")
        everything = self.moduli + self.special_moduli
        if len(set(everything)) != len(everything):
            raise ParameterError("moduli: a prime occurs twice; choose distinct primes")
        for prime in everything:
            if prime >= 1 << PRIME_BITS_MAX or prime % self.ntt_order != 1 or not is_prime(prime):
                raise ParameterError(
                    f"moduli: {prime} is no prime below 2^{PRIME_BITS_MAX} that is 1 modulo {self.ntt_order}"
                )
        if self.security == "128":
            check_security(self)
        elif self.security != "INSECURE_TEST":
            raise ParameterError(f"security: got {self.security!r}, expected '128' or 'INSECURE_TEST'")

    @property
    def slots(self) -> int:
        """Real numbers in one ciphertext: N in the conjugate-invariant ring, N/2 in the standard one."""
        return self.ring_degree if self.ring == "conjugate_invariant" else self.ring_degree // 2

    def residues(self, period: int) -> int:
        """How many numbers of each limb the encoding of a vector of this period takes."""
        return max(period if self.ring == "conjugate_invariant" else 2 * period, SHORTEST_TRANSFORM)

    @property
    def ntt_order(self) -> int:
        """Every prime must be 1 modulo this: the NTT of the (enclosing) cyclotomic ring needs its roots."""
        return self.ring_degree * (4 if self.ring == "conjugate_invariant" else 2)

    @property
    def lattice_degree(self) -> int:
        """The degree at which the security table is read: N in both rings, the safe choice.

        The conjugate-invariant ring of degree N lies inside the cyclotomic ring of degree 2N, but its secret
        and errors have N coefficients: a sample gives N equations over N unknowns, so N is what an attacker
        faces (Kim and Song, ia.cr/2018/952, reduce from the standard ring of degree N).
        """
        return self.ring_degree

    @property
    def max_level(self) -> int:
        return len(self.moduli) - 1

    @property
    def log_qp(self) -> float:
        """log2 of the largest modulus that an evaluation key has."""
        return max(self.log_qp_at(level) for level in range(len(self.moduli)))

    def log_qp_at(self, level: int) -> float:
        """log2 of the modulus of an evaluation key of this level."""
        primes = self.moduli[: level + 1] + self.special_moduli[: self.special_at(level)]
        return math.fsum(map(math.log2, primes))

    @property
    def digit_count(self) -> int:
        """Digits of a key switch at the top level."""
        return self.digits_at(self.max_level)

    def special_at(self, level: int) -> int:
        """How many special primes an evaluation key of this level has, and how many primes each of its digits."""
        return self.special_counts[level] if self.special_counts else len(self.special_moduli)

    def special_options(self, level: int) -> range:
        """How many of the special primes a key of this level may have, so that none is larger than allowed."""
        log_q = math.fsum(map(math.log2, self.moduli[: level + 1]))
        logs = accumulate(map(math.log2, self.special_moduli))
        return range(1, 1 + sum(log_q + log_p <= self._log_limit for log_p in logs))

    def with_special(self, counts: tuple[int, ...]) -> Parameters:
        """With so many special primes on each level, of those that there are."""
        most = max(counts)
        own = () if set(counts) == {most} else counts
        return replace(self, special_moduli=self.special_moduli[:most], special_counts=own)

    @property
    def _log_limit(self) -> float:
        """What log2(QP) may be; without security, what it is."""
        log_degree = self.lattice_degree.bit_length() - 1
        return MAX_LOG_QP_128[log_degree] if self.security == "128" else self.log_qp

    def digits_at(self, level: int, key_level: int | None = None) -> int:
        """Digits of a key switch at this level, by a key of `key_level`, or of this one."""
        return -(-(level + 1) // self.special_at(level if key_level is None else key_level))

    def to_json(self) -> dict[str, Any]:
        """What an earlier release does not know is left out where it says nothing: digests stay what they are."""
        later = {"special_counts": list(self.special_counts)} if self.special_counts else {}
        return {
            "ring": self.ring,
            "ring_degree": self.ring_degree,
            "moduli": list(self.moduli),
            "special_moduli": list(self.special_moduli),
            "scales": list(self.scales),
            "security": self.security,
            **later,
        }


def check_security(parameters: Parameters) -> None:
    """Raise SecurityError if log2(QP) exceeds the 128-bit table at the lattice degree."""
    log_degree = parameters.lattice_degree.bit_length() - 1
    allowed = MAX_LOG_QP_128.get(log_degree, 0)
    if parameters.log_qp > allowed:
        raise SecurityError(
            f"ring degree 2^{log_degree}: log2(QP) is {parameters.log_qp:.1f}, at most {allowed} keeps 128 bits; "
            "use fewer levels or special primes, a smaller scale, or a larger ring"
        )


def choose(
    depth: int,
    *,
    slots_min: int,
    scale_bits: float = SCALE_BITS_DEFAULT,
    ring: RingType = "conjugate_invariant",
    ring_degree: int | None = None,
    special_count: int | None = None,
    security: Security = "128",
    price: Callable[[int, int], float] | None = None,
) -> Parameters:
    """The smallest ring that holds `slots_min` slots and `depth` rescales, at 128 bits.

    special_count: primes of P; by default as many as give the fewest digits that the table allows.
    price: of keys of a level with a number of special primes; each level gets the cheapest that is secure. Without it,
        or with a special_count, all levels have the same.
    Raises ParameterError with how much is missing if nothing fits.
    """
    refused = ""
    degrees = [ring_degree] if ring_degree else [1 << bits for bits in sorted(MAX_LOG_QP_128)]
    for degree in degrees:
        slots = degree if ring == "conjugate_invariant" else degree // 2
        if slots < slots_min and ring_degree is None:
            continue
        for count in [special_count] if special_count else _special_counts(depth + LEVEL_MIN + 1):
            try:
                found = _build(depth, ring, degree, count, scale_bits, security)
                if price is None or special_count:
                    return found
                counts = _counts_by_level(found, price)
                return _build(depth, ring, degree, max(counts), scale_bits, security, counts)
            except ParameterError as error:
                refused = str(error)
    ring_name = f"ring degree {ring_degree} does not hold" if ring_degree else "no ring up to 2^17 holds"
    raise ParameterError(
        f"{ring_name} {depth} levels at a scale of {scale_bits} bits with {slots_min} slots "
        f"({refused or 'too few slots'}); shorten the sequence, lower the gate degree, or lower scale_bits"
    )


def _special_counts(limbs: int) -> list[int]:
    """Counts of special primes worth trying, fewest digits first: the smallest count for each digit number."""
    counts = sorted({-(-limbs // digits) for digits in range(1, limbs + 1)}, reverse=True)
    return [count for count in counts if count <= 10] or counts[-1:]


def _counts_by_level(parameters: Parameters, price: Callable[[int, int], float]) -> tuple[int, ...]:
    """The cheapest number of special primes for each level: of those with as many digits, the smallest."""
    counts, log_q, limit = [], LOG_SLACK, parameters._log_limit
    for level, prime in enumerate(parameters.moduli):
        log_q += math.log2(prime)
        room = min(SPECIAL_COUNT_MAX, int((limit - log_q) // PRIME_BITS_MAX))
        options = {-(-(level + 1) // digits) for digits in range(1, level + 2)}
        options = {count for count in options if count <= room} or {len(parameters.special_moduli)}
        counts.append(min(sorted(options), key=lambda count, at=level: price(at, count)))  # type: ignore[misc]
    return tuple(counts)


def _build(
    depth: int,
    ring: RingType,
    degree: int,
    special_count: int,
    scale_bits: float,
    security: Security,
    special_counts: tuple[int, ...] = (),
) -> Parameters:
    log_degree = degree.bit_length() - 1
    allowed = MAX_LOG_QP_128.get(log_degree, 0)
    top = special_counts[-1] if special_counts else special_count
    log_qp = depth * scale_bits + (top + LEVEL_MIN + 1) * PRIME_BITS_MAX
    if security == "128" and log_qp > 1.02 * allowed:  # a search for primes would be in vain
        raise SecurityError(
            f"ring degree 2^{log_degree}: log2(QP) is about {log_qp:.0f}, at most {allowed} keeps 128 bits"
        )
    order = degree * (4 if ring == "conjugate_invariant" else 2)
    scale = 2.0**scale_bits
    # The special primes come first: they are the largest, so that P exceeds the largest digit by some bits.
    below = _primes_below(1 << PRIME_BITS_MAX, order)
    special = tuple(next(below) for _ in range(special_count))
    base = tuple(next(below) for _ in range(LEVEL_MIN + 1))
    used = set(special + base)
    moduli: list[int] = []
    scales = [scale]
    for _ in range(depth):
        prime = _nearest_prime(scales[-1] ** 2 / scale, order, used)
        used.add(prime)
        moduli.append(prime)
        scales.append(scales[-1] ** 2 / prime)
        if abs(math.log2(scales[-1] / scale)) > SCALE_DRIFT_MAX:
            raise ParameterError(
                f"scale_bits: got {scale_bits}, but too few primes near 2^{scale_bits} are 1 modulo {order} for "
                f"{depth} levels; choose 28 to 29.5"
            )
    scales += [scales[-1]] * LEVEL_MIN  # level 0 is never reached; it keeps its neighbour's scale
    if set(special_counts) == {special_count}:
        special_counts = ()
    chain = base + tuple(reversed(moduli))
    return Parameters(ring, degree, chain, special, tuple(reversed(scales)), security, special_counts)


def _primes_below(limit: int, order: int):  # type: ignore[no-untyped-def]
    candidate = (limit - 2) // order * order + 1
    while candidate > order:
        if is_prime(candidate):
            yield candidate
        candidate -= order
    raise ParameterError(f"no prime below {limit} is 1 modulo {order}; use a smaller ring")


def _nearest_prime(target: float, order: int, used: set[int]) -> int:
    center = round((target - 1) / order)
    for distance in range(1 << 20):
        for index in {center - distance, center + distance}:
            candidate = index * order + 1
            in_range = order < candidate < 1 << PRIME_BITS_MAX
            if in_range and candidate not in used and is_prime(candidate):
                return candidate
    raise ParameterError(f"no unused prime near {target:.0f} is 1 modulo {order}")


def is_prime(number: int) -> bool:
    """Miller–Rabin with the bases 2, 3, 5, 7, 11, 13: exact below 3.4·10^12."""
    if number < 2 or number >= 3_400_000_000_000:
        return False
    bases = (2, 3, 5, 7, 11, 13)
    for base in bases:
        if number % base == 0:
            return number == base
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in bases:
        power = pow(base, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True
