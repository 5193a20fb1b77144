// The random numbers of PyTorch and NumPy, so that the same seed makes the same choices here as there.

// torch.Generator: the Mersenne Twister (Matsumoto and Nishimura 1998).
export class Generator {
  constructor(seed) {
    this.state = new Uint32Array(624);
    this.place = 624;
    this.state[0] = seed;
    for (let i = 1; i < 624; i++) {
      const last = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1812433253, last) + i;
    }
  }

  // 32 random bits.
  bits() {
    const { state } = this;
    if (this.place === 624) {
      for (let i = 0; i < 624; i++) {
        const both = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
        state[i] = state[(i + 397) % 624] ^ (both >>> 1) ^ (both & 1 ? 0x9908b0df : 0);
      }
      this.place = 0;
    }
    let value = state[this.place++];
    value ^= value >>> 11;
    value ^= (value << 7) & 0x9d2c5680;
    value ^= (value << 15) & 0xefc60000;
    return (value ^ (value >>> 18)) >>> 0;
  }

  // torch.randperm(count).
  permutation(count) {
    const order = Int32Array.from({ length: count }, (_, number) => number);
    for (let i = 0; i < count - 1; i++) {
      const other = i + (this.bits() % (count - i));
      [order[i], order[other]] = [order[other], order[i]];
    }
    return order;
  }

  // torch.randn(count) in float32, for a multiple of 16: Box and Muller 1958, eight pairs at a time.
  normal(count) {
    const values = Float32Array.from({ length: count }, () => (this.bits() & 0xffffff) / 2 ** 24);
    for (let start = 0; start < count; start += 16) {
      for (let i = start; i < start + 8; i++) {
        const radius = Math.sqrt(-2 * Math.log(1 - values[i])),
          angle = 2 * Math.PI * values[i + 8];
        values[i] = radius * Math.cos(angle);
        values[i + 8] = radius * Math.sin(angle);
      }
    }
    return values;
  }
}

// numpy.random.default_rng(seed).permutation(count).
export function permutation(seed, count) {
  const bits = halves(pcg64(seedWords([seed])));
  const order = Array.from({ length: count }, (_, number) => number);
  for (let i = count - 1; i > 0; i--) {
    const mask = 2 ** (32 - Math.clz32(i)) - 1;
    let other;
    do other = (bits() & mask) >>> 0;
    while (other > i);
    [order[i], order[other]] = [order[other], order[i]];
  }
  return order;
}

// sorted(default_rng(SeedSequence(seed).spawn(child + 1)[child]).choice(total, count, replace=False)) of NumPy, for a total
// of at most 10,000: Floyd's algorithm, whole numbers below a bound by Lemire 2019.
export function choice(seed, child, total, count) {
  const bits = halves(pcg64(seedWords([seed, 0, 0, 0, child])));
  const below = (bound) => {
    let product;
    do product = BigInt(bits()) * BigInt(bound);
    while (Number(product & 0xffffffffn) < 2 ** 32 % bound);
    return Number(product >> 32n);
  };
  const chosen = new Set();
  for (let last = total - count; last < total; last++) {
    const number = last ? below(last + 1) : 0;
    chosen.add(chosen.has(number) ? last : number);
  }
  return [...chosen].sort((some, other) => some - other);
}

// Numbers of 64 bits as twice as many of 32, the lower half first.
function halves(next) {
  let spare = null;
  return () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    const both = next();
    spare = Number(both >> 32n);
    return Number(both & 0xffffffffn);
  };
}

// SeedSequence.generate_state(8): eight words of 32 bits, from the seed's words and, after four of them, the child's number.
function seedWords(entropy) {
  let constant = 0x43b0d7e5;
  const hash = (value) => {
    value ^= constant;
    constant = Math.imul(constant, 0x931e8875);
    value = Math.imul(value, constant);
    return (value ^ (value >>> 16)) >>> 0;
  };
  const mix = (some, other) => {
    const value = Math.imul(0xca01f9dd, some) - Math.imul(0x4973f715, other);
    return (value ^ (value >>> 16)) >>> 0;
  };
  const pool = [0, 1, 2, 3].map((i) => hash(entropy[i] ?? 0));
  for (let from = 0; from < 4; from++) {
    for (let to = 0; to < 4; to++) {
      if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
    }
  }
  for (const word of entropy.slice(4)) {
    for (let to = 0; to < 4; to++) pool[to] = mix(pool[to], hash(word));
  }
  let second = 0x8b51f9dd;
  return Array.from({ length: 8 }, (_, number) => {
    let value = pool[number % 4] ^ second;
    second = Math.imul(second, 0x58f38ded);
    value = Math.imul(value, second);
    return (value ^ (value >>> 16)) >>> 0;
  });
}

// PCG64 (O'Neill 2014).
function pcg64(words) {
  const all = (1n << 128n) - 1n,
    multiplier = 47026247687942121848144207491837523525n;
  const four = [0, 2, 4, 6].map((i) => (BigInt(words[i + 1]) << 32n) | BigInt(words[i]));
  const start = (four[0] << 64n) | four[1],
    increment = ((((four[2] << 64n) | four[3]) << 1n) | 1n) & all;
  let state = ((increment + start) * multiplier + increment) & all;
  return () => {
    state = (state * multiplier + increment) & all;
    const folded = ((state >> 64n) ^ state) & 0xffffffffffffffffn,
      turn = state >> 122n;
    return ((folded >> turn) | (folded << (64n - turn))) & 0xffffffffffffffffn;
  };
}
