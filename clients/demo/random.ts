/** Numbers that depend on a seed alone, so that the same seed makes the same picture everywhere. */
export interface Random {
  /** Uniform in [low, high); [0, 1) by default. */
  uniform(low?: number, high?: number): number;
  /** Normal with mean 0 and standard deviation 1. */
  normal(): number;
}

/**
 * A counter in steps of the golden ratio, each value scrambled by the finaliser of MurmurHash3: the construction of SplitMix
 * (Steele, Lea and Flood 2014) in 32 bits. Period 2^32; good enough for pictures, not for secrets.
 */
export function createRandom(seed: number): Random {
  let state = seed | 0;
  let spare: number | undefined;

  const uniform = (low = 0, high = 1): number => {
    state = (state + 0x9e37_79b9) | 0;
    let word = state;
    word = Math.imul(word ^ (word >>> 16), 0x85eb_ca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2_ae35);
    word ^= word >>> 16;
    return low + ((word >>> 0) / 0x1_0000_0000) * (high - low);
  };

  // Marsaglia's polar method gives two at a time.
  const normal = (): number => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    for (;;) {
      const x = uniform(-1, 1);
      const y = uniform(-1, 1);
      const square = x * x + y * y;
      if (square > 0 && square < 1) {
        const scale = Math.sqrt((-2 * Math.log(square)) / square);
        spare = y * scale;
        return x * scale;
      }
    }
  };

  return { uniform, normal };
}
