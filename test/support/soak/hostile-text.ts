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
  if (random.isChance(0.3)) {
    // Limits stand at 64, 128, 140, 200, 255, 1000 characters: right before, on and right after each.
    const length = random.pick([64, 128, 140, 200, 255, 896, 1000]) + random.between(-2, 2);
    text = `${'a'.repeat(Math.max(0, length - text.length))}${text}`;
  } else if (random.isChance(0.03)) {
    text = text.padEnd(random.pick([10_000, 100_000]), random.pick(['x', '\u{1f52c}']));
  }
  return text;
}
