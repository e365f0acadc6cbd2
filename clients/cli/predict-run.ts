import { type BringDeps, bringResults, type Result } from './bring-results.ts';
import type { Input } from './images.ts';
import { OrderedResults } from './ordered-results.ts';
import type { Progress } from './progress.ts';
import { messageOf } from './report-error.ts';
import { formatCount } from './result-words.ts';
import type { ResultWriter } from './result-writer.ts';
import { RunReport } from './run-report.ts';
import { printable } from './table.ts';

/** Results that one late image can hold back; beyond them no image is begun. */
const MAX_HELD_RESULTS = 256;
export interface RunDeps extends BringDeps {
  readonly writer: ResultWriter;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface RunEnd {
  readonly report: RunReport;
  /** What would have failed every further image alike, and ended the run before its time. */
  readonly stoppedBy?: Error;
}

/**
 * Predicts on each input and writes what was found in the inputs' order. A failure that is about one image is kept for the report and
 * the run goes on; one that is about all of them (a model that is not there, a wrong threshold, no server) ends it. What was
 * finished until then is written and saved all the same.
 */
export async function runPredictions(inputs: readonly Input[], deps: RunDeps): Promise<RunEnd> {
  const { writer, progress } = deps;
  const report = new RunReport(inputs.length);
  const failures: Error[] = [];
  const stop = new AbortController();
  const fail = (error: unknown): void => {
    failures.push(error instanceof Error ? error : new Error(String(error)));
    stop.abort(error);
  };
  const results = new OrderedResults<Result>(MAX_HELD_RESULTS);
  const signal = AbortSignal.any([deps.signal, stop.signal]);
  let isWhole = false;
  try {
    await writer.begin();
    const brought = bringResults(inputs, results, deps, { signal, fail })
      .catch(fail)
      .finally(() => results.end());
    try {
      for await (const result of results) {
        await writeResult(result, deps);
        report.add(result.path, result.answer, result.error, result.isFromBefore);
        await progress.step(describe(result), result.isFromBefore);
      }
    } catch (error) {
      fail(error);
    }
    results.end();
    await brought;
    await progress.finish();
    isWhole = failures.length === 0;
  } finally {
    await writer.end(isWhole);
  }
  const [stoppedBy] = failures;
  return stoppedBy === undefined ? { report } : { report, stoppedBy };
}

async function writeResult({ index, path, answer, error }: Result, { writer, progress }: RunDeps): Promise<void> {
  await progress.around(async () => {
    if (answer !== undefined) {
      await writer.image(index, path, answer);
    }
    if (error !== undefined) {
      await writer.failure(path, error);
    }
  });
}

function describe({ path, answer, error, isFromBefore }: Result): string {
  const name = printable(path);
  if (answer === undefined) {
    return `${name}: failed: ${messageOf(error)}`;
  }
  const problem = error === undefined ? '' : `; no overlay: ${messageOf(error)}`;
  return `${name}: ${formatCount(answer.flakes.length, 'flake')}${isFromBefore ? ', done before' : ''}${problem}`;
}
