import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { Stage } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { memoryOfTree } from './memory.ts';
import type { Services } from './services.ts';
import { formatSpread, spreadOf } from './statistics.ts';

/** Calls of one measurement: processor time is told in hundredths of a second. */
const CALLS = 20;
const ROUNDS = 5;
/** The longest stage is over by then. */
const SETTLE_MS = 300;

const MOMENTS: readonly (readonly [string, Stage])[] = [
  ['decoding begins', Stage.STAGE_DECODE],
  ['colours begin', Stage.STAGE_COLOURS],
  ['the model begins', Stage.STAGE_CLASSIFY],
];

/** Processor time of server and engines after the cancel of a call, against that of a whole one. */
export async function benchCancel({ inference, processes }: Services, path: string, model: string): Promise<void> {
  const image = await readFile(path);
  const pid = processes[1]?.pid ?? 0;
  const cpuMs = (): number => memoryOfTree(pid).reduce((sum, { cpuMs: ms }) => sum + ms, 0);
  const whole: number[] = [];
  const after = new Map<Stage, number[]>(MOMENTS.map(([, stage]) => [stage, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    let before = cpuMs();
    for (let call = 0; call < CALLS; call += 1) {
      await inference.predictFlakes(image, { classification: model });
    }
    await setTimeout(SETTLE_MS);
    whole.push((cpuMs() - before) / CALLS);
    for (const [, stage] of MOMENTS) {
      let spent = 0;
      for (let call = 0; call < CALLS; call += 1) {
        for await (const event of inference.predict(image, { classification: model })) {
          if (event.$case === 'progress' && event.value.stage === stage) {
            break;
          }
        }
        // Leaving the loop was the cancel.
        before = cpuMs();
        await setTimeout(SETTLE_MS);
        spent += cpuMs() - before;
      }
      after.get(stage)?.push(spent / CALLS);
    }
  }
  const wholeMs = spreadOf(whole).median;
  console.log(
    `\nprocessor time of server and engines, ms a call; ${ROUNDS} rounds of ${CALLS} calls each in turn; median (quartiles)`,
  );
  console.log(`  a whole call                          ${formatSpread(spreadOf(whole))}`);
  for (const [what, stage] of MOMENTS) {
    const values = after.get(stage) ?? [];
    const share = spreadOf(values.map((ms) => ms / wholeMs));
    console.log(
      `  after a cancel as ${what.padEnd(20)}${formatSpread(spreadOf(values))}; of a whole one ${formatSpread(share, 2)}`,
    );
  }
}
