import { readFileSync } from 'node:fs';
import { type Profiler, Session } from 'node:inspector/promises';
import { fileURLToPath } from 'node:url';

/** How often a piece of a compiled file was executed. It has to be there once. */
export type Executions = (url: URL, piece: string) => number;

/**
 * Counts what this process executes, as V8 itself does for code coverage. Opened before what it is to count is called for the first
 * time: what was compiled without counters gets none later.
 */
export class ExecutionCounter implements Disposable {
  readonly #session: Session;

  private constructor(session: Session) {
    this.#session = session;
  }

  static async open(): Promise<ExecutionCounter> {
    const session = new Session();
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    return new ExecutionCounter(session);
  }

  /** What is executed while `run` runs. */
  async count(run: () => Promise<unknown>): Promise<Executions> {
    // Counting starts from here.
    await this.#session.post('Profiler.takePreciseCoverage');
    await run();
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    return (url, piece) => {
      const [before = '', ...rest] = readFileSync(fileURLToPath(url), 'utf8').split(piece);
      if (rest.length !== 1) {
        throw new Error(`${rest.length} times in ${url.href}: ${piece}`);
      }
      return countAt(result.find((script) => script.url === url.href)?.functions ?? [], before.length);
    };
  }

  [Symbol.dispose](): void {
    this.#session.disconnect();
  }
}

/** The count of the smallest block around the place; what is in none was never called. */
function countAt(functions: readonly Profiler.FunctionCoverage[], place: number): number {
  const around = functions
    .flatMap(({ ranges }) => ranges)
    .filter(({ startOffset, endOffset }) => startOffset <= place && place < endOffset);
  const length = ({ startOffset, endOffset }: Profiler.CoverageRange): number => endOffset - startOffset;
  return around.toSorted((a, b) => length(a) - length(b))[0]?.count ?? 0;
}
