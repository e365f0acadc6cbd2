import type { SeededRandom } from './seeded-random.ts';

const PARTS: readonly string[] = [
  '',
  ' ',
  '..',
  '../../etc/passwd',
  '/',
  '\\',
  'a\0b',
  '\r\n',
  '\u007f',
  '%00%n%s',
  "'; DROP TABLE models; --",
  '"',
  '\u00e9',
  '\u202e',
  '\ufeff',
  '\ufffd',
  '\u{1f52c}',
  'e\u0301',
  '__proto__',
  'constructor',
  'latest',
  'v1',
  'production',
  'CLS_GMM_Fuzz',
  'CLS_GMM_Fuzz:1',
  'CLS_GMM_Fuzz@latest',
  ':0',
  '@',
  '4294967296',
  '-1',
  'sha256:',
  `sha256:${'0'.repeat(64)}`,
];

/** Text that names, paths, logs, databases and headers have broken on; now and then as long as a limit, or far longer. */
export function hostileText(random: SeededRandom): string {
  let text = '';
  for (let parts = random.between(1, 3); parts > 0; parts -= 1) {
    text += random.pick(PARTS);
  }
  if (random.isChance(0.4)) {
    // Limits stand at these lengths, and what is longer is cut there: right before, on and right after each, also in a character.
    const before = random.pick([64, 128, 140, 200, 255, 896, 1000]) - random.below(4);
    text = `${'a'.repeat(before)}${random.pick(['', 'aa', '\u00e9\u00e9', '\u{1f52c}\u{1f52c}', text])}`;
  } else if (random.isChance(0.2)) {
    // Two code units each: wherever a message cuts it, one of the two cuts a character.
    text = `${'a'.repeat(random.below(2))}${'\u{1f52c}'.repeat(random.pick([20, 45, 75, 150, 600]))}`;
  } else if (random.isChance(0.03)) {
    text = text.padEnd(random.pick([10_000, 100_000]), random.pick(['x', '\u{1f52c}']));
  }
  return text;
}
