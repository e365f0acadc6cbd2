import { cpus } from 'node:os';
import { collectGarbage } from './garbage.ts';
import { openAwsPair } from './registry-aws.ts';
import { openEmbeddedPair } from './registry-embedded.ts';
import { CALLS, type CallName, type RegistryPair, WAYS } from './registry-pair.ts';
import { formatSpread, quantileOf, ratiosOf, spreadOf } from './statistics.ts';

const ROUNDS = 10;
const WARM_UP_ROUNDS = 2;
const CALLS_A_ROUND = 100;

/** Milliseconds of each call of one round, by way. */
type Round = Readonly<Record<(typeof WAYS)[number], readonly number[]>>;

/**
 * Promote, resolve and list on both pairs of adapters: as a use case in this process and through gRPC, against the same reads and
 * writes made with the bare library. One call of each way in turn. `args`: `embedded` or `aws` alone.
 */
export async function benchRegistry(args: readonly string[]): Promise<void> {
  console.log(`${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}`);
  const openers = { embedded: openEmbeddedPair, aws: openAwsPair };
  for (const [name, open] of Object.entries(openers)) {
    if (args.length === 0 || args.includes(name)) {
      await using pair = await open();
      await benchPair(pair);
    }
  }
}

async function benchPair(pair: RegistryPair): Promise<void> {
  console.log(`\n${pair.name}; ${ROUNDS} rounds of ${CALLS_A_ROUND} calls each in turn; median of the rounds (quartiles)`);
  console.log('call     way                p50, ms              p99, ms              p50 / bare        p99 / bare');
  for (const call of CALLS) {
    const rounds: Round[] = [];
    for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round += 1) {
      const measured = await measureRound(pair, call);
      if (round >= 0) {
        rounds.push(measured);
      }
    }
    for (const way of WAYS) {
      const of = (share: number, which = way): number[] => rounds.map((round) => quantileOf(round[which], share));
      const ratio = (share: number): string =>
        way === 'bare' ? '' : formatSpread(spreadOf(ratiosOf(of(share), of(share, 'bare'))), 2);
      const columns = [
        call.padEnd(8),
        (way === 'bare' ? pair.bareName : way).padEnd(18),
        formatSpread(spreadOf(of(0.5)), 2).padEnd(20),
        formatSpread(spreadOf(of(0.99)), 2).padEnd(20),
        ratio(0.5).padEnd(17),
        ratio(0.99),
      ];
      console.log(columns.join(' ').trimEnd());
    }
  }
}

async function measureRound(pair: RegistryPair, call: CallName): Promise<Round> {
  const measured = { bare: [] as number[], 'in this process': [] as number[], 'through gRPC': [] as number[] };
  collectGarbage();
  for (let index = 0; index < CALLS_A_ROUND; index += 1) {
    for (let turn = 0; turn < WAYS.length; turn += 1) {
      // Each way comes first, second and last equally often.
      const way = WAYS[(index + turn) % WAYS.length] ?? 'bare';
      const began = performance.now();
      await pair.calls[way][call]();
      measured[way].push(performance.now() - began);
    }
  }
  return measured;
}
