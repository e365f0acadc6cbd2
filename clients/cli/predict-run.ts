import type { ServiceError } from '../../proto/wire/errors.ts';
import { isServiceError } from '../../proto/wire/errors.ts';
import type { Prediction } from '../inference-client.ts';
import type { Input } from './images.ts';
import { inOrder } from './in-order.ts';
import type { Progress } from './progress.ts';
import { errorLine, messageOf } from './report-error.ts';
import { formatCount } from './result-words.ts';
import type { ResultWriter } from './result-writer.ts';

/** Images on their way at once: the next one travels while the server works on this one. */
const IN_FLIGHT = 2;

export interface Failure {
  readonly path: string;
  readonly error: unknown;
}

export interface RunDeps {
  readonly predict: (path: string) => Promise<Prediction>;
  /** Draws and saves the picture. Undefined: not asked for. */
  readonly draw: ((path: string, prediction: Prediction) => Promise<void>) | undefined;
  readonly writer: ResultWriter;
  readonly progress: Progress;
}

interface Outcome {
  readonly path: string;
  readonly prediction?: Prediction;
  readonly error?: unknown;
}

export interface RunReport {
  readonly doneCount: number;
  readonly flakeCount: number;
  readonly failures: readonly Failure[];
  /** What would have failed every further image alike, and ended the run before its time. */
  readonly stoppedBy?: Error;
}

/**
 * Predicts on each input and writes what was found in the inputs' order. A failure that is about one image is kept for the report and
 * the run goes on; one that is about all of them (a model that is not there, a wrong threshold, no server) ends it.
 */
export async function runPredictions(inputs: readonly Input[], deps: RunDeps): Promise<RunReport> {
  const failures: Failure[] = [];
  let doneCount = 0;
  let flakeCount = 0;
  try {
    for await (const outcome of inOrder(inputs, IN_FLIGHT, (input) => predictOne(input, deps))) {
      const { path, prediction, error } = outcome;
      await deps.progress.around(async () => {
        if (prediction !== undefined) {
          flakeCount += prediction.flakes.length;
          await deps.writer.image(path, prediction);
        }
        if (error === undefined) {
          doneCount += 1;
        } else {
          failures.push({ path, error });
          await deps.writer.failure(path, error);
        }
      });
      await deps.progress.step(describe(outcome));
    }
  } catch (error) {
    const stoppedBy = error instanceof Error ? error : new Error(String(error));
    return { doneCount, flakeCount, failures, stoppedBy };
  } finally {
    await deps.progress.finish();
  }
  return { doneCount, flakeCount, failures };
}

/** The failed images with their reasons, one a line; empty when there are none. */
export function formatFailures(failures: readonly Failure[], total: number): string {
  if (failures.length === 0) {
    return '';
  }
  const lines = failures.map(({ path, error }) => `  ${path}: ${errorLine(error).replace(/^error: /, '')}\n`);
  return `${failures.length} of ${formatCount(total, 'image')} failed:\n${lines.join('')}`;
}

async function predictOne({ path, problem }: Input, { predict, draw }: RunDeps): Promise<Outcome> {
  if (problem !== undefined) {
    return { path, error: problem };
  }
  let prediction: Prediction;
  try {
    prediction = await predict(path);
  } catch (error) {
    if (isAboutEveryImage(error)) {
      throw error;
    }
    return { path, error };
  }
  try {
    await draw?.(path, prediction);
    return { path, prediction };
  } catch (error) {
    // The flakes are good all the same.
    return { path, prediction, error };
  }
}

function isAboutEveryImage(error: unknown): error is ServiceError {
  if (!isServiceError(error)) {
    return false;
  }
  // A request that is wrong in nothing but its image, such as an empty file, says nothing about the next one.
  if (error.violations.length > 0 && error.violations.every(({ field }) => field === 'image')) {
    return false;
  }
  const reasons = [
    'INVALID_REQUEST',
    'KIND_MISMATCH',
    'LOAD_FAILED',
    'UNSUPPORTED_MODEL',
    'UNAVAILABLE',
    'MODEL_NOT_READY',
    'REGISTRY_UNAVAILABLE',
    'SHUTTING_DOWN',
  ];
  return error.kind === 'not-found' || error.kind === 'cancelled' || reasons.includes(error.reason);
}

function describe({ path, prediction, error }: Outcome): string {
  if (prediction === undefined) {
    return `${path}: failed: ${messageOf(error)}`;
  }
  return `${path}: ${formatCount(prediction.flakes.length, 'flake')}${error === undefined ? '' : `; no overlay: ${messageOf(error)}`}`;
}
