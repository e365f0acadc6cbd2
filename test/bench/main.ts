// `npm run bench NAME [ARGUMENT ...]`: measures, and prints what it saw. Quotes ratios of things run in turn in one process.
import process from 'node:process';
import { benchPredict } from './predict.ts';

const BENCHES: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = { predict: benchPredict };

const [name = '', ...args] = process.argv.slice(2);
const bench = BENCHES[name];
if (bench === undefined) {
  console.error(`usage: npm run bench NAME, one of: ${Object.keys(BENCHES).join(', ')}`);
  process.exitCode = 2;
} else {
  await bench(args);
}
