import sharp from 'sharp';
import type { PredictResponse } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { FakeInference, type PredictScript } from './fake-inference.ts';
import { eventsOf, flakeAt, USED_MODEL } from './predictions.ts';
import { type CommandResult, runCommand } from './run-command.ts';

/** `maskterial predict ARGS --classification CLS` in this process, against a server that answers as the script says. */
export async function predictCommand(
  args: readonly string[],
  script: PredictScript | FakeInference,
  signal?: AbortSignal,
): Promise<CommandResult & { readonly inference: FakeInference }> {
  const inference = script instanceof FakeInference ? script : new FakeInference(script);
  await using server = await inference.start();
  const env = { MASKTERIAL_INFERENCE: server.address };
  const result = await runCommand(['predict', '--classification', 'CLS', ...args], env, signal);
  return { ...result, inference };
}

/** A picture of 120 x 80 whose bytes differ from shade to shade. */
export function pictureOf(shade: number): Promise<Buffer> {
  return sharp({ create: { width: 120, height: 80, channels: 3, background: { r: shade, g: 120, b: 130 } } })
    .png()
    .toBuffer();
}

/** One flake of 200 and one of 100 pixels, found by this version. */
export async function* answerBy(version: number, umPerPx: number | undefined): AsyncGenerator<PredictResponse> {
  const models = [{ ...USED_MODEL, version }];
  const flakes = [flakeAt(0, 1, 5, 5, 20, 10, umPerPx), flakeAt(1, 2, 50, 30, 10, 10, umPerPx)];
  for (const { event } of eventsOf(flakes, umPerPx)) {
    if (event?.$case === 'accepted') {
      yield { event: { $case: 'accepted', value: { ...event.value, models } } };
    } else if (event?.$case === 'summary') {
      yield { event: { $case: 'summary', value: { ...event.value, models } } };
    } else {
      yield event === undefined ? {} : { event };
    }
  }
}
